package datatest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// witness is a test that records how another ended.
type witness struct {
	testing.TB
	skipped, failed string
}

func (w *witness) Helper() {}

func (w *witness) Skipf(format string, args ...any) {
	w.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (w *witness) Fatal(args ...any) {
	w.failed = fmt.Sprint(args...)
	runtime.Goexit()
}

func (w *witness) Fatalf(format string, args ...any) { w.Fatal(fmt.Sprintf(format, args...)) }

func TestPath(t *testing.T) {
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "a", "b"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	nowhere := filepath.Join(folder, "nowhere")
	for _, c := range []struct {
		folder, demand, name  string
		path, skipped, failed string
	}{
		{folder, "", "a/b", filepath.Join(folder, "a", "b"), "", ""},
		{folder, require, "a", filepath.Join(folder, "a"), "", ""},
		{nowhere, "", "a/b", "", nowhere, ""},
		{nowhere, require, "a/b", "", "", nowhere},
		{folder, "", "a/c", "", "", "lack a/c"}, // a wrong name would skip for ever
		{folder, "1", "a/b", "", "", "only value"},
		{"relative", "", "a/b", "", "", "absolute"},
	} {
		t.Setenv(folderVariable, c.folder)
		t.Setenv(switchVariable, c.demand)
		w := &witness{}
		path := ""
		done := make(chan bool)
		go func() {
			defer close(done)
			path = Path(w, c.name)
		}()
		<-done
		if path != c.path || !ends(w.skipped, c.skipped) || !ends(w.failed, c.failed) {
			t.Errorf("%s=%s %s=%s, %s: path %q, skipped %q, failed %q", folderVariable, c.folder, switchVariable,
				c.demand, c.name, path, w.skipped, w.failed)
		}
	}
}

// ends reports whether a test ended with a message, or without one where none is
// wanted.
func ends(message, want string) bool {
	return (message == "") == (want == "") && strings.Contains(message, want)
}

// Without STEPLM_DATA the data are beside the project, wherever the test stands.
func TestDefaultFolder(t *testing.T) {
	t.Setenv(folderVariable, "")
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{".", root, filepath.Join(root, "cmd", "steplm")} {
		t.Chdir(dir)
		got, err := folder()
		if want := filepath.Join(filepath.Dir(root), "shared", "data"); err != nil || got != want {
			t.Errorf("from %s: %s, error %v, want %s", dir, got, err, want)
		}
	}
	t.Chdir(t.TempDir())
	if got, err := folder(); err == nil {
		t.Errorf("outside a module: %s", got)
	}
}
