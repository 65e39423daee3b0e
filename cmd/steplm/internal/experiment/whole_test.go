package experiment

import (
	"math"
	"testing"

	"steplm/stage/experiment"
	"steplm/stage/record"
	"steplm/stage/results"
)

// asking is an experiment whose models are asked tasks.
const asking = `{
  "name": "asking", "seeds": [1], "variants": [{"label": "a", "set": {"method": {"name": "vanilla"}}}],
  "base": {
    "model": {"hidden": 16, "ffn": 24, "layers": 2, "heads": 2, "kv_heads": 1, "max_seq_len": 16, "seq_len": 16},
    "schedule": {"steps": 4, "batch_size": 2, "lr": [0.01]}, "data": {"train": ["x"], "tokenizer": "x"},
    "evaluation": {"eval_tokens": 0, "final_eval_tokens": 0}
  },
  "evaluate": {"tasks": {"names": ["piqa"], "data": "x", "limit": 4}}
}`

// A run's training is counted once, also when the whole is counted anew while its model is asked.
func TestTheWholeCountsARunOnce(t *testing.T) {
	file, err := experiment.Read([]byte(asking))
	if err != nil {
		t.Fatal(err)
	}
	made, err := experiment.Make(file, 64)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := experiment.Open(t.TempDir(), made)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWhole(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	run := made.Final(0, 1, 0)
	s, err := w.begin(run)
	if err != nil {
		t.Fatal(err)
	}
	s.at, s.asked = s.steps, 0.5
	want := w.all - s.effort.Asking/2
	counted := func(when string) {
		t.Helper()
		if got := w.done + s.done(); s.effort.Asking == 0 || math.Abs(got-want) > 1e-9*want {
			t.Errorf("%s %g operations are done, want %g of %g", when, got, want, w.all)
		}
	}
	counted("before its folder says that it is done")
	finished(t, folder, run)
	folder.Forget(run)
	if row := folder.Row(run); row.Status != results.Done {
		t.Fatalf("the run is %s: %s", row.Status, row.Problem)
	}
	if err := w.count(); err != nil {
		t.Fatal(err)
	}
	counted("afterwards")
}

// finished writes a run's folder as if it had been trained.
func finished(t *testing.T, folder *experiment.Folder, run experiment.Run) {
	t.Helper()
	r, err := folder.Recipe(run)
	if err != nil {
		t.Fatal(err)
	}
	f, err := record.Create(folder.At(run), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []record.Event
	for i := 1; i <= r.Steps(); i++ {
		lines = append(lines, record.Metrics{Step: i, Stage: 1, Loss: 2, Tokens: int64(i) * r.TokensPerStep(),
			TokensPerSecond: 8})
	}
	for _, e := range append(lines, record.End{}) {
		if err := f.Metrics.Write(e); err != nil {
			t.Fatal(err)
		}
	}
}
