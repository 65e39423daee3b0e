package record

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gofrs/flock"

	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
)

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCreateRefuses(t *testing.T) {
	r := recipetest.Must(t, "step", recipetest.Tiny())
	t.Run("not empty", func(t *testing.T) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "thesis.tex"), "years of work")
		_, err := Create(dir, r, nil)
		recipetest.WantError(t, err, dir, "not empty", "thesis.tex", "[choose another out]")
		if entries, _ := os.ReadDir(dir); len(entries) != 1 {
			t.Errorf("the folder was touched: %v", entries)
		}
	})
	t.Run("a run", func(t *testing.T) {
		dir := t.TempDir()
		f, err := Create(dir, r, nil)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		_, err = Create(dir, r, nil)
		recipetest.WantError(t, err, dir, "already holds a run", "[use resume]", "[choose another out]")
	})
	t.Run("a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "run")
		write(t, file, "")
		_, err := Create(file, r, nil)
		recipetest.WantError(t, err, file)
		_, err = Create(filepath.Join(file, "below"), r, nil)
		recipetest.WantError(t, err, file)
	})
	t.Run("locked", func(t *testing.T) {
		dir := t.TempDir()
		defer hold(t, dir)()
		_, err := Create(dir, r, nil)
		recipetest.WantError(t, err, dir, "another process")
	})
}

// hold locks a folder as another process would.
func hold(t *testing.T, dir string) (release func() error) {
	t.Helper()
	lock := flock.New(filepath.Join(dir, lockFile))
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	return lock.Unlock
}

// A beginning that was killed before its recipe was whole is no run, and in
// nobody's way.
func TestCreateAfterKilledBeginning(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, lockFile), "")
	write(t, filepath.Join(dir, "."+RecipeFile+".saving-0123abcd"), "{")
	r := recipetest.Must(t, "step", recipetest.Tiny())
	f, err := Create(dir, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	text, path, err := RecipeText(dir)
	if err != nil || path != filepath.Join(dir, "recipe.json") {
		t.Fatal(path, err)
	}
	again, hash, err := recipe.Decode(text)
	if err != nil || again.Hash() != r.Hash() || hash != r.Hash() {
		t.Errorf("recipe with hash %s, %v, want %s", again.Hash(), err, r.Hash())
	}
}

// Another process may begin and end a run between the first look at a folder and its lock.
func TestCreateLooksAgainAfterTheLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	first, second := recipetest.Must(t, "step", recipetest.Tiny()), recipetest.Must(t, "vanilla", recipetest.Tiny())
	defer func(before func()) { beforeLock = before }(beforeLock)
	beforeLock = func() {
		beforeLock = func() {}
		f, err := Create(dir, first, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Metrics.file.WriteString("a line\n"); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	_, err := Create(dir, second, nil)
	recipetest.WantError(t, err, dir, "already holds a run", "[use resume]")
	text, _, err := RecipeText(dir)
	if err != nil {
		t.Fatal(err)
	}
	if r, _, err := recipe.Decode(text); err != nil || r.Hash() != first.Hash() {
		t.Errorf("the recipe is %s (%v), want the first one's", r.Hash(), err)
	}
	if lines, err := os.ReadFile(filepath.Join(dir, File)); err != nil || string(lines) != "a line\n" {
		t.Errorf("the metrics are %q, %v", lines, err)
	}
}

// Checkpoints are listed by their steps, and what is no checkpoint is left out.
func TestCheckpointNames(t *testing.T) {
	run := t.TempDir()
	if got := CheckpointNames(run); len(got) > 0 {
		t.Errorf("a folder without checkpoints has %q", got)
	}
	for _, name := range []string{"step-10", "step-9", "step-100", ".step-11"} {
		write(t, filepath.Join(CheckpointAt(run, name), StateFile), "{}")
	}
	write(t, filepath.Join(run, "checkpoints", "LATEST"), "step-9\n")
	if got, want := CheckpointNames(run), []string{"step-9", "step-10", "step-100"}; !slices.Equal(got, want) {
		t.Errorf("checkpoints %q, want %q", got, want)
	}
	if last, note, err := LastCheckpoint(run); err != nil || last != "step-9" || note != "" {
		t.Errorf("the last one is %q (%v), LATEST says step-9", last, err)
	}
	at := CheckpointAt(run, "step-9")
	if of, err := RunOf(at); err != nil || of != run || !HoldsCheckpoint(at) || HoldsCheckpoint(run) {
		t.Errorf("%s lies in %s (%v)", at, of, err)
	}
}

// What a run ran on is kept, once where nothing changed, and an earlier version's run has nothing of it.
func TestSystems(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	f, err := Create(dir, struct{}{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if list, err := Systems(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, error %v", list, err)
	}
	a, b := ThisSystem("a GPU", 8), ThisSystem("another", 8)
	if !strings.HasPrefix(a.Go, "go") || !strings.Contains(a.Target, "/") || a.Device != "a GPU" || a.Own != 8 {
		t.Errorf("this system is %+v", a)
	}
	for _, s := range []System{a, a, b, a} {
		if err := f.RunsOn(s); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := Systems(dir); err != nil || !slices.Equal(list, []System{a, b, a}) {
		t.Errorf("%v, error %v", list, err)
	}
	if err := os.WriteFile(filepath.Join(dir, SystemsFile), []byte("?"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Systems(dir); err == nil || !strings.Contains(err.Error(), SystemsFile) {
		t.Errorf("error %v", err)
	}
}

// Metrics that are opened again, as by a run that goes back, are open once.
func TestOpenMetricsAgain(t *testing.T) {
	f, err := Create(filepath.Join(t.TempDir(), "run"), recipetest.Must(t, "step", recipetest.Tiny()), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before := f.Metrics
	if _, err := f.OpenMetrics(0); err != nil {
		t.Fatal(err)
	}
	if err := before.Write(Metrics{Step: 1}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file that was open before is open still: %v", err)
	}
	if err := f.Metrics.Write(Metrics{Step: 1}); err != nil {
		t.Error(err)
	}
}

// Metrics are cut where a run goes back to: of an event after the same step, but in a later stage, too.
func TestCutMetrics(t *testing.T) {
	at := func(step, stage int) At { return At{Step: step, Stage: stage} }
	all := []Event{Metrics{Step: 1, Stage: 1}, Metrics{Step: 2, Stage: 1}, Checkpoint{At: at(2, 1)},
		Growth{Transition{At: at(2, 2)}}, Metrics{Step: 3, Stage: 2}, Metrics{Step: 4, Stage: 2}}
	for to, want := range map[At]int{at(0, 1): 0, at(1, 1): 1, at(2, 1): 3, at(2, 2): 4, at(3, 2): 5, at(9, 2): 6} {
		f, err := Create(filepath.Join(t.TempDir(), "run"), recipetest.Must(t, "step", recipetest.Tiny()), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, e := range all {
			if err := f.Metrics.Write(e); err != nil {
				t.Fatal(err)
			}
		}
		if note, err := f.CutMetrics(to); err != nil || note != "" {
			t.Fatal(note, err)
		}
		if err := f.Metrics.Write(Resume{At: to}); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, err := range Read(f.Dir) {
			if n++; err != nil {
				t.Error(err)
			}
		}
		if n != want+1 {
			t.Errorf("cut at %+v, there are %d lines, want %d", to, n-1, want)
		}
	}
}
