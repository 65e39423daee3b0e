package logs

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"steplm/stage/record"
)

// began is when the tests' run begins: now is later by its seconds of work.
var began = time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)

// wandbFolder gives the tests' run an identity.
const wandbFolder = "offline-run-20261127_100000-0a1b2c3d"

// story is a run of 6 steps that grows after its third one.
func story(t *testing.T) (list []record.Event) {
	t.Helper()
	at := func(step, stage int) record.At {
		return record.At{Step: step, Stage: stage, Peaks: record.Peaks{PeakBytes: 5000, ProcessPeak: 7000}}
	}
	evaluation := func(step, stage int, when string, perplexity float64) record.Event {
		result, err := record.Plain(map[string]any{"name": "validation", "perplexity": perplexity, "unit": "token",
			"tokens": 128, "detail": map[string]any{"nll": 2 * perplexity, "perplexity": perplexity, "unit": "token"}})
		if err != nil {
			t.Fatal(err)
		}
		return record.Evaluation{At: at(step, stage), When: when, Set: "validation", Result: result, Seconds: 0.25}
	}
	for step := 1; step <= 6; step++ {
		stage := 1 + (step-1)/3
		list = append(list, record.Metrics{
			Step: step, Stage: stage, Loss: 6 - float64(step)/4, LR: 1e-3 / float64(step), GradNorm: 1.5,
			Tokens: int64(64 * step), TokensPerSecond: 128, FLOPsPerSecond: 1e6,
			Bytes: map[string]int64{"weights": 1000, "gradients": 500}, Peaks: at(0, 0).Peaks,
		})
		if step == 3 {
			list = append(list, record.Checkpoint{At: at(3, 1), Checkpoint: "step-3", Seconds: 0.5},
				evaluation(3, 1, "before growth", 400),
				record.Growth{Transition: record.Transition{At: at(3, 2), From: 2, To: 4, New: []int{1, 2},
					Trainable: 300, Frozen: 200, Seconds: 0.25}},
				evaluation(3, 2, "after growth", 420))
		}
	}
	return append(list, record.Checkpoint{At: at(6, 2), Checkpoint: "step-6"}, record.Samples{At: at(6, 2),
		Samples: []record.Sample{{Prompt: "Once", IDs: []uint32{7, 8}, Text: " upon\n*a* <b>time", Finish: "length"},
			{Prompt: "The", IDs: []uint32{9}, Text: " end", Finish: "eos"}}}, evaluation(6, 2, "end", 300),
		record.End{At: at(6, 2), Checkpoint: "final"})
}

// writer is a run that writes its metrics and logs, as stage.Run does.
type writer struct {
	t       *testing.T
	dir     string
	metrics *record.Writer
	log     *Log
	warned  []string
}

// newWriter takes a run up whose metrics have so many bytes that stay.
func newWriter(t *testing.T, dir string, kept int64, formats ...string) *writer {
	t.Helper()
	w := &writer{t: t, dir: dir}
	var err error
	if w.metrics, _, err = record.Append(dir, kept); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.metrics.Close() })
	run := Run{Dir: dir, Name: "first", Steps: 6, Batch: 8, SaveEvery: 3, Config: map[string]json.RawMessage{
		"model": json.RawMessage(`{"name":"tiny"}`), "schedule": json.RawMessage(`{"lr":[0.001]}`)}}
	if w.log, err = Open(run, formats, func(text string) { w.warned = append(w.warned, text) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.log.Close)
	w.log.now = func() time.Time {
		var c counter
		for e, err := range record.Read(dir) {
			if err != nil {
				t.Fatal(err)
			}
			c.point(e)
		}
		return began.Add(time.Duration(c.seconds * float64(time.Second)))
	}
	return w
}

func (w *writer) write(events ...record.Event) *writer {
	w.t.Helper()
	for _, e := range events {
		if err := w.metrics.Write(e); err != nil {
			w.t.Fatal(err)
		}
		w.log.Event(e)
	}
	return w
}

// lengthOf is the bytes of events' lines.
func lengthOf(t *testing.T, events []record.Event) (n int64) {
	t.Helper()
	for _, e := range events {
		line, err := record.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		n += int64(len(line))
	}
	return n
}

// runFolder is a folder in which the run has its identity of wandb.
func runFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, wandbDir, wandbFolder), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// files are the contents of a run's logs, by their names within it; of Trackio's database its rows.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	list := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == record.File || filepath.Dir(name) == trackioDir {
			return err
		}
		text, err := os.ReadFile(path)
		list[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, trackioDir)); err == nil {
		text, err := json.MarshalIndent(trackioRows(t, dir), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		list[trackioDir+".json"] = string(text) + "\n"
	}
	return list
}

// steps are those of the story's metrics up to an event.
func steps(events []record.Event) (list []int) {
	for _, e := range events {
		if m, ok := e.(record.Metrics); ok {
			list = append(list, m.Step)
		}
	}
	return slices.Compact(list)
}
