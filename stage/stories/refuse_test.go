package stories

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"steplm/gpu"
	"steplm/internal/disk"
	"steplm/stage/record"
)

// What the system refuses, as Windows does while another program has a file open, is a warning where it is not
// needed: the run comes to the same end as one that nothing was refused, and leaves the same checkpoints.
func TestRefusalsEndNoRun(t *testing.T) {
	s := newStory(t)
	s.Keep = 1
	plain := s.in(t.TempDir() + "/plain")
	if err := plain.run(t.Context(), gpu.NewHost()); err != nil {
		t.Fatal(err)
	}
	step2 := func(o, path string) bool { return o == "remove" && strings.Contains(path, "step-2") }
	for name, c := range map[string]struct {
		refuses func(operation, path string) bool
		until   string // the point at which it is over; "": never
		warned  string
		left    int // that the checkpoints' folder has besides the last and LATEST
	}{
		"a removal, for a while":          {step2, "step 7", "old checkpoints take room until they can be removed", 0},
		"a removal, to the end":           {step2, "", "old checkpoints take room until they can be removed", 1},
		"every removal, until the export": {func(o, path string) bool { return o == "remove" }, "export", " more)", 0},
		"a directory's renaming": {func(o, path string) bool { return strings.Contains(path, ".step-2.removing") },
			"step 5", "old checkpoints", 0},
		"LATEST": {func(o, path string) bool { return o == "rename" && strings.HasSuffix(path, "LATEST") },
			"step 7", "until a later save a resume goes on from there", 0},
		"the lock": {func(o, path string) bool { return o == "lock" }, "", "nothing keeps another process out", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t.TempDir() + "/run")
			defer disk.Refuse(nil)
			disk.Refuse(func(o, path string) error {
				if c.refuses(o, path) {
					if o == "lock" {
						return syscall.ENOTSUP
					}
					return syscall.EPERM
				}
				return nil
			})
			s.Hook = func(point string) {
				if point == c.until {
					disk.Refuse(nil)
				}
			}
			var warnings []string
			s.Warn = func(text string) { warnings = append(warnings, text) }
			if err := s.run(t.Context(), gpu.NewHost()); err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, c.warned) }) ||
				strings.Contains(strings.Join(warnings, ""), "\n") {
				t.Errorf("warned %q", warnings)
			}
			if got, want := s.told(t), plain.told(t); !slices.Equal(got, want) {
				t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			entries, err := os.ReadDir(record.CheckpointAt(s.Dir, ""))
			if err != nil || len(entries) != 2+c.left {
				t.Errorf("%v, %v", entries, err)
			}
		})
	}
}

// A stop must not promise what a resume would not find.
func TestStopWhereLatestIsRefused(t *testing.T) {
	s := newStory(t)
	ctx, stop := context.WithCancel(t.Context())
	defer disk.Refuse(nil)
	s.Hook = func(point string) {
		switch point {
		case "step 3":
			disk.Refuse(func(o, path string) error {
				if o == "rename" && strings.HasSuffix(path, "LATEST") {
					return syscall.EPERM
				}
				return nil
			})
		case "step 5":
			stop()
		}
	}
	err := s.run(ctx, gpu.NewHost())
	if err == nil || !strings.Contains(err.Error(), "saved as step-5, but not for a resume") {
		t.Errorf("%v", err)
	}
	disk.Refuse(nil)
	s.Hook = nil
	if err := s.run(t.Context(), gpu.NewHost()); err != nil {
		t.Error(fmt.Errorf("resume: %w", err))
	}
}
