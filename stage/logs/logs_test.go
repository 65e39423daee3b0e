package logs

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/stage/record"
)

var update = flag.Bool("update", false, "rewrite the golden files, and ask the Python of STEPLM_LOG_READERS again")

// TestGolden holds every format to bytes that the tools' own readers were asked about: TestReaders.
func TestGolden(t *testing.T) {
	dir := runFolder(t)
	w := newWriter(t, dir, 0, Names()...).write(story(t)...)
	w.log.Close()
	if len(w.warned) > 0 {
		t.Error(w.warned)
	}
	got := files(t, dir)
	if *update {
		for name, text := range got {
			if err := os.WriteFile(goldenAt(name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(got) != len(Formats) {
		t.Errorf("%d files for %d formats: %v", len(got), len(Formats), slices.Sorted(maps.Keys(got)))
	}
	for name, text := range got {
		want, err := os.ReadFile(goldenAt(name))
		if err != nil {
			t.Fatal(err)
		}
		if text != string(want) {
			t.Errorf("%s has other bytes than those that its reader was asked about: ask again with -update", name)
		}
	}
}

// goldenAt is the golden file of a file in a run's folder.
func goldenAt(name string) string { return filepath.Join("testdata", "golden", filepath.Base(name)) }

// TestResumed: a run that was killed after any event and went on from its checkpoint has the logs of one that was not,
// and so has one that rolled back, or that asked for its logs at the resume alone.
func TestResumed(t *testing.T) {
	events := story(t)
	want := runFolder(t)
	newWriter(t, want, 0, Names()...).write(events...).log.Close()
	resume := record.Resume{At: record.At{Step: 3, Stage: 1}, Checkpoint: "step-3"}
	kept := 3 // lines up to the checkpoint's step
	for killed := kept + 1; killed <= len(events); killed += 2 {
		for _, first := range [][]string{Names(), nil} {
			dir := runFolder(t)
			before := newWriter(t, dir, 0, first...).write(events[:killed]...)
			before.log.Close()
			after := newWriter(t, dir, lengthOf(t, events[:kept]), Names()...).write(resume).write(events[kept:]...)
			after.log.Close()
			same(t, files(t, dir), files(t, want))
			if len(before.warned)+len(after.warned) > 0 {
				t.Error(before.warned, after.warned)
			}
		}
	}
}

// same compares two runs' logs. An event file's name says which one is the last.
func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	plain := func(files map[string]string) map[string]string {
		list := map[string]string{}
		for name, text := range files {
			if strings.HasPrefix(name, eventsPrefix) {
				name = eventsPrefix
			}
			list[name] += text
		}
		if len(list) != len(files) {
			t.Errorf("several event files: %v", slices.Sorted(maps.Keys(files)))
		}
		return list
	}
	a, b := plain(got), plain(want)
	for name := range b {
		if a[name] != b[name] {
			t.Errorf("%s differs from that of a run that was never stopped", name)
		}
	}
	if len(a) != len(b) {
		t.Errorf("there are %v, want %v", slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b)))
	}
}

// TestRollback: steps that a run took back are in no log.
func TestRollback(t *testing.T) {
	events := story(t)
	dir, want := runFolder(t), runFolder(t)
	back := record.Rollback{At: record.At{Step: 0, Stage: 1}, Spike: 3, Loss: 9, MedianLoss: 5}
	w := newWriter(t, dir, 0, Names()...).write(events[:2]...)
	metrics, _, err := record.Append(dir, 0) // as stage.Run does
	if err != nil {
		t.Fatal(err)
	}
	w.metrics.Close()
	w.metrics = metrics
	w.write(back).write(events...).log.Close()
	newWriter(t, want, 0, Names()...).write(back).write(events...).log.Close()
	same(t, files(t, dir), files(t, want))
}

// TestGoneBack: steps that a run did again, since the others of its rounds went back, are in its logs once.
func TestGoneBack(t *testing.T) {
	events := story(t)
	dir, want := runFolder(t), runFolder(t)
	w := newWriter(t, dir, 0, Names()...).write(events[:9]...) // two steps after the growth
	metrics, _, err := record.Append(dir, lengthOf(t, events[:3]))
	if err != nil {
		t.Fatal(err)
	}
	w.metrics.Close()
	w.metrics = metrics
	w.write(events[3:]...).log.Close()
	newWriter(t, want, 0, Names()...).write(events...).log.Close()
	same(t, files(t, dir), files(t, want))
}

// TestKilled: whatever moment a process ends at, what it wrote before can be read: of files that grow, the records up
// to the last whole one; of Trackio's database the rows; trainer_state.json as of the last save.
func TestKilled(t *testing.T) {
	events := story(t)
	dir := runFolder(t)
	w := newWriter(t, dir, 0, Names()...).write(events[:len(events)-4]...)
	there := files(t, dir)
	for _, read := range []struct {
		suffix  string
		records func(*testing.T, string) ([]string, error)
	}{{eventsSuffix, tfRecords}, {".wandb", wandbRecords}} {
		for name, text := range there {
			if !strings.HasSuffix(name, read.suffix) {
				continue
			}
			all, err := read.records(t, text)
			if err != nil || len(all) < 6 {
				t.Fatalf("%s: %d records, %v", name, len(all), err)
			}
			cuts := 0
			for n := range len(text) {
				some, err := read.records(t, text[:n])
				if !slices.Equal(some, all[:len(some)]) {
					t.Fatalf("%s, cut at byte %d: other records", name, n)
				}
				if err != nil {
					cuts++
				}
			}
			if cuts < len(text)-2*len(all) {
				t.Errorf("%s: only %d of %d cuts were seen", name, cuts, len(text))
			}
		}
	}
	dead := t.TempDir() // What lies on disk, taken from a process that has it open.
	if err := os.CopyFS(filepath.Join(dead, trackioDir), os.DirFS(filepath.Join(dir, trackioDir))); err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, row := range trackioRows(t, dead)[1:] {
		got = append(got, row.Step)
	}
	if got = slices.Compact(got); !slices.Equal(got, steps(events)) {
		t.Errorf("Trackio's database has the steps %v after a kill", got)
	}
	if !strings.Contains(there[trainerStateFile], `"global_step": 3`) {
		t.Errorf("%s is not of the last save", trainerStateFile)
	}
	w.log.Close()
}

// TestFullDisk: what cannot be written is one warning for each format that names the run's metrics, and the others go
// on.
func TestFullDisk(t *testing.T) {
	for _, name := range Names() {
		dir := runFolder(t)
		w := newWriter(t, dir, 0, Names()...)
		full := map[string]func(*testing.T, *writer){
			"tensorboard": func(_ *testing.T, w *writer) { w.sink("tensorboard").(*tensorBoard).file.Close() },
			"wandb":       func(_ *testing.T, w *writer) { w.sink("wandb").(*wandb).file.Close() },
			"trackio":     func(_ *testing.T, w *writer) { w.sink("trackio").(*trackio).db.Close() },
			"trainer-state": func(t *testing.T, w *writer) {
				at := filepath.Join(w.dir, trainerStateFile)
				if err := os.Remove(at); err != nil {
					t.Fatal(err)
				}
				if err := os.MkdirAll(filepath.Join(at, "in the way"), 0o755); err != nil {
					t.Fatal(err)
				}
			},
		}
		w.write(story(t)[:2]...)
		full[name](t, w)
		w.write(story(t)[2:]...)
		w.log.Close()
		if len(w.warned) != 1 || !strings.Contains(w.warned[0], name) || !strings.Contains(w.warned[0], record.File) {
			t.Errorf("%s: %q", name, w.warned)
		}
	}
}

func (w *writer) sink(name string) Sink {
	for _, s := range w.log.open {
		if s.name == name {
			return s.Sink
		}
	}
	w.t.Fatalf("no %s", name)
	return nil
}

// TestCannotBegin: nor is what stands in the way of a format from the start more than a warning.
func TestCannotBegin(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{wandbDir, trackioDir} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w := newWriter(t, dir, 0, Names()...).write(story(t)...)
	if len(w.warned) != 2 || len(w.log.open) != 2 {
		t.Errorf("%d formats are open, warned %q", len(w.log.open), w.warned)
	}
}

// TestNoStep: a run that fails before its first step leaves nothing, and an unknown format is an error.
func TestNoStep(t *testing.T) {
	dir := t.TempDir()
	newWriter(t, dir, 0, Names()...).write(record.Failure{Error: "no"}).log.Close()
	if got := files(t, dir); len(got) > 0 {
		t.Errorf("there are %v", slices.Sorted(maps.Keys(got)))
	}
	if _, err := Open(Run{}, []string{"tensorbord"}, nil); err == nil {
		t.Error("an unknown format is taken")
	}
}

// TestLongRecord: a record that does not fit into what is left of a block of wandb's is read back, whatever is left.
func TestLongRecord(t *testing.T) {
	for before := wandbBlock - 40; before < wandbBlock+10; before++ {
		dir := t.TempDir()
		s, err := beginWandb(Run{Dir: dir, Name: "x", Began: began})
		if err != nil {
			t.Fatal(err)
		}
		w := s.(*wandb)
		for _, n := range []int{before - int(w.at) - 20, 1, 3 * wandbBlock, 5} {
			if err := w.record(recordHistory, make([]byte, n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, text := range files(t, dir) {
			records, err := wandbRecords(t, text)
			if err != nil || len(records) != 7 || len(records[4]) < 3*wandbBlock {
				t.Fatalf("%d bytes before: %d records, %v", before, len(records), err)
			}
		}
	}
}
