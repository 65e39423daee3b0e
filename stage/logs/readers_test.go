package logs

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestReaders: what the tools' own readers said of the golden files is what the events say, number for number. They are
// asked again, also about a run that was killed, where STEPLM_LOG_READERS names a Python that has them:
// STEPLM_LOG_READERS=/a/bin/python go test ./stage/logs -update.
func TestReaders(t *testing.T) {
	path := filepath.Join("testdata", "readers.json")
	events := story(t)
	if python := os.Getenv("STEPLM_LOG_READERS"); python != "" {
		dir := runFolder(t)
		newWriter(t, dir, 0, Names()...).write(events...).log.Close()
		says := ask(t, python, dir)
		if *update {
			if err := os.WriteFile(path, says, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(path); err != nil || !bytes.Equal(says, want) {
			t.Errorf("%s is not what the readers of this Python say: %v", path, err)
		}
		askOfKilled(t, python)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	said := decode(t, text)
	var rows []map[string]float64 // as the events have them, one for each that has numbers
	var at []int
	for _, e := range events {
		if list := values(e); len(list) > 0 {
			row := map[string]float64{}
			for _, v := range list {
				row[v.Name] = v.Value
			}
			rows, at = append(rows, row), append(at, e.Moment().Step)
		}
	}
	t.Run("tensorboard", func(t *testing.T) {
		want := map[string][][2]float64{}
		for i, row := range rows {
			for name, value := range row {
				want[name] = append(want[name], [2]float64{float64(at[i]), float64(float32(value))})
			}
		}
		equal(t, said.TensorBoard.Scalars, want)
		equal(t, said.TensorBoard.Texts, map[string][][]any{
			"samples/1": {{"text", 6.0, "    Once upon\n    *a* <b>time"}},
			"samples/2": {{"text", 6.0, "    The end"}}})
	})
	t.Run("trackio", func(t *testing.T) {
		run := said.Trackio[Project+"/first"]
		if len(run.Logs) != len(rows) || len(said.Trackio) != 1 || run.Config["schedule"] == nil {
			t.Fatalf("%d rows, want %d, of %d runs, configured as %v", len(run.Logs), len(rows), len(said.Trackio),
				run.Config)
		}
		for i, row := range rows {
			for name, value := range row {
				if run.Logs[i][name] != value {
					t.Errorf("row %d: %s is %v, want %g", i, name, run.Logs[i][name], value)
				}
			}
			if run.Logs[i]["step"] != float64(at[i]) {
				t.Errorf("row %d has step %v, want %d", i, run.Logs[i]["step"], at[i])
			}
		}
	})
	t.Run("wandb", func(t *testing.T) { checkWandb(t, said.Wandb, rows, at) })
	t.Run("transformers", func(t *testing.T) {
		s := said.Transformers
		if s.GlobalStep != 6 || s.MaxSteps != 6 || s.Tokens != 384 || s.FLOPs != 3e6 || len(s.History) != 9 {
			t.Errorf("%d of %d steps, %d tokens, %g operations, %d entries", s.GlobalStep, s.MaxSteps, s.Tokens,
				s.FLOPs,
				len(s.History))
		}
		equal(t, s.History[0], map[string]any{"step": 1.0, "loss": 5.75, "grad_norm": 1.5, "learning_rate": 1e-3})
		equal(t, s.History[8], map[string]any{"step": 6.0, "eval_runtime": 0.25, "eval_validation_perplexity": 300.0,
			"eval_validation_nll": 600.0, "eval_validation_tokens": 128.0})
	})
}

// checkWandb compares wandb's rows, one for each step, with those of the events, and its summary with the last of each.
func checkWandb(t *testing.T, said []wandbRow, rows []map[string]float64, at []int) {
	t.Helper()
	steps, last, history := map[int]map[string]float64{}, map[string]float64{}, 0
	for i, row := range rows {
		if steps[at[i]] == nil {
			steps[at[i]] = map[string]float64{}
		}
		for name, value := range row {
			steps[at[i]][name] = value
		}
	}
	for i, r := range said {
		if r.Num != i+1 {
			t.Errorf("record %d has number %d", i+1, r.Num)
		}
		switch r.Is {
		case "history":
			history++
			for name, value := range steps[r.Step] {
				if r.Items[name] != value {
					t.Errorf("step %d: %s is %g, want %g", r.Step, name, r.Items[name], value)
				}
			}
			if n := len(r.Items); n != len(steps[r.Step])+3 || r.Items["_step"] != float64(r.Step) {
				t.Errorf("step %d has %d items: %v", r.Step, n, r.Items)
			}
		case "summary":
			for name, value := range r.Items {
				last[name] = value
			}
		case "run":
			if r.ID != "0a1b2c3d" || r.Project != Project || r.Name != "first" || r.Start != "2026-11-27T10:00:00Z" ||
				r.Config["model"] == nil {
				t.Errorf("the run is %+v", r)
			}
		}
	}
	if history != len(steps) || last["train/loss"] != 4.5 || last["eval/validation/perplexity"] != 300 {
		t.Errorf("%d rows, want %d; the summary is %v", history, len(steps), last)
	}
	if end := said[len(said)-1]; end.Is != "exit" || end.Code != 0 || end.Runtime != 4 {
		t.Errorf("the last record is %+v", end)
	}
}

// askOfKilled asks about files that end within a record.
func askOfKilled(t *testing.T, python string) {
	t.Helper()
	dir := runFolder(t)
	w := newWriter(t, dir, 0, Names()...).write(story(t)[:8]...) // until after the evaluation after the growth
	dead := filepath.Join(t.TempDir(), "dead")
	if err := os.CopyFS(dead, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	w.log.Close()
	for name := range files(t, dead) {
		if path := filepath.Join(dead, filepath.FromSlash(name)); strings.HasPrefix(name, eventsPrefix) ||
			strings.HasSuffix(name, ".wandb") {
			info, err := os.Stat(path)
			if err == nil {
				err = os.Truncate(path, info.Size()-5)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	said := decode(t, ask(t, python, dead))
	if n := len(said.TensorBoard.Scalars["train/loss"]); n != 3 {
		t.Errorf("TensorBoard reads %d steps, want 3 before the one that was cut", n)
	}
	if n := len(said.Trackio[Project+"/first"].Logs); n != 7 {
		t.Errorf("Trackio reads %d rows of 7", n)
	}
	if n := slices.IndexFunc(said.Wandb, func(r wandbRow) bool { return r.Is == "history" && r.Step == 2 }); n < 0 {
		t.Errorf("wandb reads %+v", said.Wandb)
	}
	if s := said.Transformers; s.GlobalStep != 3 || s.History[0]["loss"] != 5.75 {
		t.Errorf("transformers reads %+v", s)
	}
}

// answers are what testdata/read_logs.py prints.
type answers struct {
	TensorBoard struct {
		Scalars map[string][][2]float64
		Texts   map[string][][]any
	}
	Trackio map[string]struct {
		Config map[string]any
		Logs   []map[string]any
	}
	Wandb        []wandbRow
	Transformers struct {
		GlobalStep int              `json:"global_step"`
		MaxSteps   int              `json:"max_steps"`
		Tokens     int64            `json:"num_input_tokens_seen"`
		FLOPs      float64          `json:"total_flos"`
		History    []map[string]any `json:"log_history"`
	}
}

type wandbRow struct {
	Num, Step, Code, Runtime     int
	Is, ID, Project, Name, Start string
	Items                        map[string]float64
	Config                       map[string]any
}

func decode(t *testing.T, text []byte) (a answers) {
	t.Helper()
	var byVersion map[string]json.RawMessage
	if err := json.Unmarshal(text, &byVersion); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		tool string
		into any
	}{{"tensorboard", &a.TensorBoard}, {"trackio", &a.Trackio}, {"wandb", &a.Wandb},
		{"transformers", &a.Transformers}} {
		found := false
		for name, says := range byVersion {
			if tool, _, _ := strings.Cut(name, " "); tool == x.tool {
				found = true
				if err := json.Unmarshal(says, x.into); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
		if !found {
			t.Fatalf("%s was not asked", x.tool)
		}
	}
	return a
}

// ask runs the readers on a folder.
func ask(t *testing.T, python, dir string) []byte {
	t.Helper()
	c := exec.Command(python, filepath.Join("testdata", "read_logs.py"), dir)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", python, err, stderr.Bytes())
	}
	return out
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
