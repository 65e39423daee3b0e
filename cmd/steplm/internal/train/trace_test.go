package train

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/cmd/steplm/internal/clitest"
)

// tracedFile is what another program finds in a trace.
type tracedFile struct {
	OtherData   map[string]string `json:"otherData"`
	TraceEvents []struct {
		Name  string         `json:"name"`
		Phase string         `json:"ph"`
		Start *float64       `json:"ts"`
		Took  *float64       `json:"dur"`
		Track int            `json:"tid"`
		Args  map[string]any `json:"args"`
	} `json:"traceEvents"`
}

// A trace has every dispatch of the steps that were asked for and no others, its
// table the same calls, and the losses are those of a run that was not traced.
func TestTraceOfARun(t *testing.T) {
	m := clitest.NewMaterial(t)
	for _, device := range clitest.Devices(t) {
		t.Run("device="+device, func(t *testing.T) {
			plain, run := clitest.NewRun(t), clitest.NewRun(t)
			file := filepath.Join(filepath.Dir(run), "trace.json")
			flags := []string{"--device", device, "--save-every", "0", "--eval-tokens", "0"}
			clitest.Succeed(t, "", m.Pretrain(plain, flags...)...)
			// Stage 1 has 3 steps, of which the second is traced, stage 2 has 5.
			out := clitest.Succeed(t, "", m.Pretrain(run, append(flags, "--trace", file, "--trace-steps", "1",
				"--gpu-share",
				"0.9")...)...)
			if diff := cmp.Diff(clitest.Losses(clitest.ReadMetrics(t, plain)),
				clitest.Losses(clitest.ReadMetrics(t, run))); diff != "" {
				t.Errorf("a trace and a share changed the losses (-without +with):\n%s", diff)
			}
			if !strings.Contains(out, "the trace of stage 1 (1 step), stage 2 (1 step) is in "+file) {
				t.Errorf("the run does not say what it traced:\n%s", out)
			}

			var f tracedFile
			if err := json.Unmarshal([]byte(clitest.Contents(t, file)), &f); err != nil {
				t.Fatal(err)
			}
			tracks, calls, passes := map[int]string{}, map[string]int{}, map[string]int{}
			for _, e := range f.TraceEvents {
				switch {
				case e.Phase == "M" && e.Name == "thread_name":
					tracks[e.Track] = e.Args["name"].(string)
				case e.Phase == "X" && tracks[e.Track] == "dispatches":
					calls[e.Name]++
					if _, ok := e.Args["work"].(float64); !ok || len(e.Args["groups"].([]any)) != 3 || *e.Took < 0 ||
						*e.Start < 0 {
						t.Fatalf("dispatch %+v", e)
					}
				case e.Phase == "X" && tracks[e.Track] == "CPU":
					passes[e.Name]++
				}
			}
			if passes["record train"] != 2 || passes["record update"] != 2 || passes["read stats"] != 2 {
				t.Errorf("passes on the CPU's track: %v, want two steps", passes)
			}
			if len(f.OtherData["device"]) == 0 || len(f.OtherData["dispatches timed by"]) == 0 {
				t.Errorf("the file does not say of what it is: %v", f.OtherData)
			}
			// Of each step one; the table has the same.
			for _, kernel := range []string{"sum_losses", "clip_scale"} {
				if calls[kernel] != 2 {
					t.Errorf("%d calls of %s in two steps", calls[kernel], kernel)
				}
			}
			for kernel := range calls {
				if row := regexp.MustCompile(`(?m)^` + kernel + ` +(\d+) `).FindStringSubmatch(out); row == nil ||
					row[1] != jsonOf(t, calls[kernel]) {
					t.Errorf("%d calls of %s in the file, the table says %v", calls[kernel], kernel, row)
				}
			}
		})
	}
}

// The kernels of a projection are in a trace by their names: those of GaLore's refresh in the steps that have one
// alone, for each of the 7 linears of 4 layers, APOLLO's random numbers in every step.
func TestTraceOfProjections(t *testing.T) {
	m := clitest.NewMaterial(t)
	refresh := []string{"subspace_start", "fill_rows", "orthogonal_panel", "unit_rows", "triangle", "jacobi_blocks",
		"basis"}
	for _, c := range []struct {
		optimizer, every string
		want             []string // some calls
		none             []string
	}{
		{"galore", "1", refresh, []string{"normals"}},
		{"galore", "100", nil, refresh},
		{"fira", "1", append([]string{"limited_factors"}, refresh...), nil},
		{"apollo", "100", []string{"normals", "direction", "limited_factors"}, refresh},
		{"apollo-mini", "1", []string{"normals", "direction", "limited_factors"}, refresh},
	} {
		run := clitest.NewRun(t)
		file := filepath.Join(filepath.Dir(run), "trace.json")
		out := clitest.Succeed(t, "", m.Pretrain(run, "--method", "vanilla", "--optimizer", c.optimizer,
			"--projection-every", c.every, "--steps", "3", "--device", "host", "--save-every", "0", "--eval-tokens",
			"0", "--final-eval-tokens", "0", "--trace", file, "--trace-steps", "1")...)
		var f tracedFile
		if err := json.Unmarshal([]byte(clitest.Contents(t, file)), &f); err != nil {
			t.Fatal(err)
		}
		calls := map[string]int{}
		for _, e := range f.TraceEvents {
			calls[e.Name]++
		}
		for _, kernel := range c.want {
			if calls[kernel] < 28 || !regexp.MustCompile(`(?m)^`+kernel+` +\d+ `).MatchString(out) {
				t.Errorf("%s, every %s: %d calls of %s, or none in the table", c.optimizer, c.every, calls[kernel],
					kernel)
			}
		}
		for _, kernel := range c.none {
			if calls[kernel] > 0 {
				t.Errorf("%s, every %s: %d calls of %s", c.optimizer, c.every, calls[kernel], kernel)
			}
		}
	}
}

// A run that has nothing to trace says so and writes nothing.
func TestTraceOfNothing(t *testing.T) {
	m, run := clitest.NewMaterial(t), clitest.NewRun(t)
	file := filepath.Join(t.TempDir(), "trace.json")
	_, stderr, code := clitest.Call(t, "", m.Pretrain(run, "--device", "host", "--stages", "1", "--steps", "1",
		"--trace",
		file)...)
	if code != 0 || !strings.Contains(stderr, "warning: --trace "+file+": nothing was traced or written") {
		t.Errorf("exit code %d, standard error %q", code, stderr)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a file was written")
	}
}
