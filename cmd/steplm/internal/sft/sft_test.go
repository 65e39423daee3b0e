package sft_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/sft"
	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/stage/record"
	"steplm/stage/session"
)

// base is a run's model of 512 positions, which knows nothing.
func base(t *testing.T) string {
	t.Helper()
	m, run := clitest.NewMaterial(t), clitest.NewRun(t)
	clitest.Succeed(t, "", m.Pretrain(run, "--method", "vanilla", "--layers", "2", "--seq-len", "512",
		"--max-seq-len", "512", "--batch-size", "1", "--steps", "1", "--final-eval-tokens", "0",
		"--device", "host")...)
	return run
}

// alpaca is a file of so many of Alpaca's records.
func alpaca(t *testing.T, n int) string {
	t.Helper()
	type example struct {
		Instruction string `json:"instruction"`
		Input       string `json:"input,omitempty"`
		Output      string `json:"output"`
	}
	var list []example
	for i := range n {
		x := example{Instruction: fmt.Sprintf("Count to %d.", i%7), Output: strings.Repeat("one, ", i%7+1) + "done"}
		if i%3 == 0 {
			x.Input = "slowly"
		}
		list = append(list, x)
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return clitest.WriteFile(t, "alpaca.json", string(text))
}

// tune is a command line for a short run on the host device.
func tune(model, file, out string, more ...string) []string {
	line := []string{"sft", "--model", model, "--data", file, "--out", out, "--device", "host", "--batch-size", "2",
		"--seq-len", "256"}
	if !slices.Contains(more, "--lr") {
		line = append(line, "--lr", "1e-2")
	}
	return append(line, more...)
}

// events are a run's, of one kind.
func events[T record.Event](t *testing.T, run string) (list []T) {
	t.Helper()
	for e, err := range record.Read(run) {
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := e.(T); ok {
			list = append(list, e)
		}
	}
	return list
}

// A run that is stopped, or killed after a save, and resumed is the run that was not, to the bit: packed and padded,
// all parameters and LoRA. Evaluations and answers are the same too.
func TestResume(t *testing.T) {
	model, file := base(t), alpaca(t, 24)
	for _, how := range [][]string{
		{"--full", "--batching", "packed", "--holdout", "0.2"}, {"--lora", "--rank", "2", "--batching", "padded"},
	} {
		straight, stopped := clitest.NewRun(t), clitest.NewRun(t)
		how = append(how, "--epochs", "2", "--save-every", "2", "--keep", "0", "--sample-tokens", "8")
		out := clitest.Succeed(t, "", tune(model, file, straight, how...)...)
		want := clitest.LossLines(t, straight)
		steps := events[record.Metrics](t, straight)
		if len(steps) < 6 || steps[len(steps)-1].Loss >= steps[0].Loss {
			t.Errorf("%v: %d steps, from a loss of %g to %g:\n%s", how, len(steps), steps[0].Loss,
				steps[len(steps)-1].Loss, out)
		}
		c := clitest.CallOf(t.Context(), tune(model, file, stopped, how...)...)
		_, complaint, code := clitest.StopAt(t, c, syscall.SIGINT, func(line string) bool {
			return strings.Contains(line, "saved step-2")
		})
		if code != 130 || !strings.Contains(complaint, "--resume") {
			t.Fatalf("stopped, it ends with %d: %s", code, complaint)
		}
		// As if it had been killed then: what came after the save is done again.
		latest := filepath.Join(stopped, "checkpoints", "LATEST")
		if err := os.WriteFile(latest, []byte("step-2\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		clitest.Succeed(t, "", "sft", "--resume", stopped, "--device", "host")
		if got := clitest.LossLines(t, stopped); got != want {
			t.Errorf("%v: losses\n%s\nof the straight run\n%s", how, got, want)
		}
		if a, b := weights(t, straight), weights(t, stopped); !reflect.DeepEqual(a, b) {
			t.Errorf("%v: the trained models differ", how)
		}
		if a, b := said(t, straight), said(t, stopped); len(a) == 0 || !slices.Equal(a, b) {
			t.Errorf("%v: it says %q, the straight run %q", how, b, a)
		}
	}
}

// said is all that a run answered.
func said(t *testing.T, run string) (list []string) {
	for _, e := range events[record.Samples](t, run) {
		for _, s := range e.Samples {
			list = append(list, fmt.Sprint(e.Step, e.When, s))
		}
	}
	return list
}

// weights are a run's trained model.
func weights(t *testing.T, run string) map[string][]float32 {
	t.Helper()
	return clitest.Tensors(t, filepath.Join(run, record.FinalDir))
}

// What a run holds on the device, and at most held, is what plan says of it, with all parameters and with LoRA, packed
// and padded.
func TestPlanIsWhatIsThere(t *testing.T) {
	model, file := base(t), alpaca(t, 8)
	own := gpu.Plan(gpu.OwnSpecs()).Total() // of a GPU's device, which plain Go does not have
	for _, c := range []struct {
		how    []string
		method string
		shape  []string
	}{
		{[]string{"--full", "--batching", "padded"}, "vanilla", nil},
		{[]string{"--lora", "--rank", "2", "--batching", "packed"}, "lora",
			[]string{"--mask", "documents", "--positions", "restart", "--rank", "2", "--no-train-embedding",
				"--no-train-head", "--no-train-norms"}},
	} {
		run := clitest.NewRun(t)
		clitest.Succeed(t, "", tune(model, file, run, append(c.how, "--steps", "2")...)...)
		plan := clitest.Succeed(t, "", append([]string{"plan", "--model", filepath.Join(model, "final"), "--seq-len",
			"256", "--batch-size", "2", "--json"}, c.shape...)...)
		var p struct {
			Methods []struct {
				Method string
				Stages []struct {
					Bytes map[string]int64
					Peak  int64 `json:"peak_bytes"`
				}
			}
		}
		if err := json.Unmarshal([]byte(plan), &p); err != nil {
			t.Fatal(err)
		}
		found := false
		for _, m := range p.Methods {
			if m.Method != c.method {
				continue
			}
			found = true
			for _, e := range events[record.Metrics](t, run) {
				for class, n := range m.Stages[0].Bytes {
					if class == gpu.Scratch.String() {
						n -= own
					}
					if e.Bytes[class] != n {
						t.Errorf("%v: %d bytes of %s, planned %d", c.how, e.Bytes[class], class, n)
					}
				}
				if e.PeakBytes != m.Stages[0].Peak-own {
					t.Errorf("%v: %d bytes at once, planned %d", c.how, e.PeakBytes, m.Stages[0].Peak-own)
				}
			}
		}
		if !found {
			t.Errorf("the plan has no %s: %s", c.method, plan)
		}
	}
}

// With patience a run ends where what is held out gets no better, whatever else it is measured on, and its model is
// that of the best evaluation.
func TestPatience(t *testing.T) {
	model, file, run := base(t), alpaca(t, 24), clitest.NewRun(t)
	wiki := clitest.WriteFile(t, "wiki.test.raw", " = A test = \n \n The cat sat .\n")
	out := clitest.Succeed(t, "", tune(model, file, run, "--holdout", "0.3", "--wikitext", wiki, "--lr", "2",
		"--warmup", "0", "--epochs", "20",
		"--eval-every", "1", "--patience", "2", "--keep", "1", "--samples", "0", "--clip-norm", "0")...)
	best := events[record.Best](t, run)
	if len(best) != 1 || !best[0].Early || !strings.Contains(out, "no better one came since") {
		t.Fatalf("%+v\n%s", best, out)
	}
	lowest, at := 0.0, 0
	var losses []float64
	for _, e := range events[record.Evaluation](t, run) {
		if e.Set == "wikitext" {
			continue
		}
		var r struct {
			Tokens float64
			Detail struct {
				NLL float64 `json:"nll"`
			}
		}
		text, err := json.Marshal(e.Result)
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		if err != nil {
			t.Fatal(err)
		}
		loss := r.Detail.NLL / r.Tokens
		if losses = append(losses, loss); e.When == "every" && (at == 0 || loss < lowest) {
			lowest, at = loss, e.Step
		}
	}
	if best[0].Set != "holdout" || best[0].Of != at || best[0].Loss != lowest || best[0].Step != at+2 {
		t.Errorf("%+v, of losses %v", best[0], losses)
	}
	if final := losses[len(losses)-1]; final != lowest {
		t.Errorf("the trained model's loss is %v, the lowest was %v", final, lowest)
	}
	// Over, it is over in the same way.
	clitest.Succeed(t, "", "sft", "--resume", run, "--device", "host")
	if again := events[record.Best](t, run); len(again) == 0 || again[len(again)-1].Of != at {
		t.Errorf("resumed, %+v", again)
	}
	// What changed in its checkpoint is no best model.
	weights := filepath.Join(record.CheckpointAt(run, best[0].Checkpoint), "model.safetensors")
	changed := []byte(clitest.Contents(t, weights))
	changed[len(changed)-3] ^= 1
	if err := os.WriteFile(weights, changed, 0o644); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := clitest.Call(t, "", "sft", "--resume", run, "--device", "host")
	clitest.CheckFailure(t, "sft", stderr, code, 1, "the best model, of step", "model.safetensors")
}

// LoRA that is kept lies beside the merged model, as peft has it.
func TestKeptAdapters(t *testing.T) {
	model, run := base(t), clitest.NewRun(t)
	clitest.Succeed(t, "", tune(model, alpaca(t, 8), run, "--lora", "--rank", "2", "--steps", "2",
		"--adapters", "keep")...)
	text := clitest.Contents(t, run, "adapter", "adapter_config.json")
	if !strings.Contains(text, `"r": 2`) {
		t.Error(text)
	}
	if _, err := os.Stat(filepath.Join(run, "adapter", "base", "config.json")); err != nil {
		t.Error(err)
	}
	card := clitest.Contents(t, run, "final", "README.md")
	if !strings.Contains(card, "was tuned to follow instructions") {
		t.Error(card)
	}
}

// A flag of LoRA where none trains is named, not ignored in silence; of one that is kept nothing is said.
func TestUnusedFlagsAreNamed(t *testing.T) {
	model, file := base(t), alpaca(t, 8)
	for _, c := range []struct {
		given []string
		want  string
	}{
		{[]string{"--rank", "2", "--adapters", "keep"},
			"steplm: warning: --rank, --adapters: of no effect with --full, the default\n"},
		{[]string{"--lora", "--rank", "2", "--adapters", "keep"}, ""},
	} {
		args := tune(model, file, clitest.NewRun(t), append(c.given, "--steps", "1", "--samples", "0")...)
		if _, stderr, code := clitest.Call(t, "", args...); code != 0 || stderr != c.want {
			t.Errorf("%v: exit code %d, standard error %q, want %q", c.given, code, stderr, c.want)
		}
	}
}

// A length in steps is measured at the end of each epoch too, by which patience goes.
func TestEpochsOfSteps(t *testing.T) {
	model, run := base(t), clitest.NewRun(t)
	validation := clitest.WriteFile(t, "validation.jsonl", `{"instruction": "Count.", "output": "one"}`+"\n")
	clitest.Succeed(t, "", tune(model, alpaca(t, 6), run, "--batching", "padded", "--steps", "7", "--samples", "0",
		"--validation", validation, "--lr", "5", "--warmup", "0", "--clip-norm", "0")...)
	var at []int
	for _, e := range events[record.Evaluation](t, run) {
		if e.When == "every" {
			at = append(at, e.Step)
		}
	}
	if !slices.Equal(at, []int{3, 6}) {
		t.Errorf("epochs of 3 steps are measured after steps %v", at)
	}
}

// Conversations are written by the model's chat template, which the trained model has too.
func TestChat(t *testing.T) {
	model, run := base(t), clitest.NewRun(t)
	const template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% if m.role == 'assistant' %}!{% endif %}" +
		"{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
	path := filepath.Join(model, "final", "chat_template.jinja")
	if err := os.WriteFile(path, []byte(template), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(model, "final", "checksums.json")); err != nil {
		t.Fatal(err)
	}
	talk := clitest.WriteFile(t, "talk.jsonl", `{"messages": [{"role": "user", "content": "Hi."}, `+
		`{"role": "assistant", "content": "Hello."}]}`+"\n")
	out := clitest.Succeed(t, "", tune(model, talk, run, "--steps", "2")...)
	if got := clitest.Contents(t, run, "final", "chat_template.jinja"); got != template {
		t.Errorf("the trained model's template is %q", got)
	}
	if !strings.Contains(out, "1 example, packed in 1 window an epoch") {
		t.Error(out)
	}
}

// A chat template that asks for the date is told the same one when the run goes on another day: spec.json keeps it.
func TestChatOfADay(t *testing.T) {
	model := base(t)
	path := filepath.Join(model, "final", "chat_template.jinja")
	if err := os.WriteFile(path, []byte(`{{ strftime_now("%d %b %Y") }}{% for m in messages %}<{{ m.role }}>`+
		`{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(model, "final", "checksums.json")); err != nil {
		t.Fatal(err)
	}
	talk := clitest.WriteFile(t, "talk.jsonl", `{"messages": [{"role": "user", "content": "Hi."}, `+
		`{"role": "assistant", "content": "Hello."}]}`+"\n")
	straight, resumed, today := clitest.NewRun(t), clitest.NewRun(t), clitest.NewRun(t)
	begin := func(run, steps string) {
		clitest.Succeed(t, "", tune(model, talk, run, "--steps", steps, "--date", "2024-02-29", "--warmup", "0",
			"--schedule", "constant")...)
	}
	begin(straight, "3")
	begin(resumed, "2")
	clitest.Succeed(t, "", "sft", "--resume", resumed, "--device", "host", "--steps", "3")
	if got, want := clitest.LossLines(t, resumed), clitest.LossLines(t, straight); got != want || want == "" {
		t.Errorf("losses\n%s\nof a run that does not stop\n%s", got, want)
	}
	began := time.Now()
	clitest.Succeed(t, "", tune(model, talk, today, "--steps", "1")...)
	saved, err := session.Saved(today)
	if day := saved.Tuning.Date; err != nil || day != began.Format(time.DateOnly) && day != time.Now().Format(
		time.DateOnly) {
		t.Errorf("the run says that it was told %q, %v", day, err)
	}
	clitest.Fail(t, 2, []string{"--date 2024-2-30", "2006-01-02"}, tune(model, talk, clitest.NewRun(t), "--steps", "1",
		"--date", "2024-2-30")...)
	clitest.Fail(t, 1, []string{"--date", "2024-02-29"}, "sft", "--resume", straight, "--device", "host", "--date",
		"2024-03-01")
}

// A run, a checkpoint of it by its step or its folder, and its final model are the same beginning; a directory of
// another program's, in longer windows than it has positions, is one too.
func TestBeginnings(t *testing.T) {
	run, file := base(t), alpaca(t, 2)
	var first []float64
	for _, model := range []string{run, run + "@step-1", filepath.Join(run, "checkpoints", "step-1"),
		filepath.Join(run, record.FinalDir)} {
		out := clitest.NewRun(t)
		clitest.Succeed(t, "", tune(model, file, out, "--steps", "1", "--samples", "0", "--final-eval-tokens", "0",
			"--tokenizer", filepath.Join(run, record.FinalDir))...)
		for _, m := range events[record.Metrics](t, out) {
			first = append(first, m.Loss)
		}
	}
	if len(first) != 4 || first[0] != first[1] || first[0] != first[2] || first[0] != first[3] {
		t.Errorf("the first losses are %v", first)
	}
	other := clitest.NewRun(t)
	clitest.Succeed(t, "", tune(clitest.RandomModel(t, 290), file, other, "--steps", "1", "--samples", "0",
		"--max-seq-len", "256", "--final-eval-tokens", "0")...)
	if list := events[record.Metrics](t, other); len(list) != 1 || !(list[0].Loss > 0) {
		t.Errorf("%+v", list)
	}
}

// Alpaca as the hub has it, in columns of which one says the rest again, is fetched by its name, once.
func TestFetch(t *testing.T) {
	var rows []datatest.HubRow
	for i := range 6 {
		rows = append(rows, datatest.HubRowOf("instruction", fmt.Sprintf("Count to %d.", i), "input",
			strings.Repeat("slowly", i%2), "output", "one", "text", "Below is an instruction."))
	}
	var content bytes.Buffer
	if err := datatest.WriteHubRows(&content, rows...); err != nil {
		t.Fatal(err)
	}
	hub := clitest.NewHub(t, []clitest.HubFile{{Repo: "tatsu-lab/alpaca", Revision: "main",
		Path: "data/train-00000-of-00001-a09b74b3ef9c3b56.parquet", Content: content.Bytes()}})
	const source = "hf://datasets/tatsu-lab/alpaca"
	model := base(t)
	for range 2 {
		out := clitest.Succeed(t, "", tune(model, source, clitest.NewRun(t), "--epochs", "1", "--samples", "0")...)
		if !strings.Contains(out, "6 examples") || len(hub.Downloads()) != 1 {
			t.Errorf("%d downloads\n%s", len(hub.Downloads()), out)
		}
	}
	dir := strings.TrimSpace(clitest.Succeed(t, "", "data", "fetch", source))
	if out := clitest.Succeed(t, "", tune(model, dir, clitest.NewRun(t), "--epochs", "1")...); !strings.Contains(out,
		"6 examples") || len(hub.Downloads()) != 1 {
		t.Errorf("%d downloads\n%s", len(hub.Downloads()), out)
	}
}

// All files of JSON that the hub has are taken, an array beside lines too, and no others that lie in the cache.
func TestFilesOfTheHub(t *testing.T) {
	const one, two = `{"instruction": "a", "output": "b"}`, `{"instruction": "c", "output": "d"}`
	clitest.NewHub(t, []clitest.HubFile{
		{Repo: "o/n", Revision: "main", Path: "a.json", Content: []byte("[" + one + "," + two + "]")},
		{Repo: "o/n", Revision: "main", Path: "b.jsonl", Content: []byte(one + "\n")},
	})
	const source = "hf://datasets/o/n"
	model := base(t)
	dir := strings.TrimSpace(clitest.Succeed(t, "", "data", "fetch", source))
	if err := os.WriteFile(filepath.Join(dir, "other.jsonl"), []byte(two+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := clitest.Succeed(t, "", tune(model, source, clitest.NewRun(t), "--epochs", "1", "--samples", "0",
		"--validation", source)...)
	if strings.Count(out, "3 examples") != 2 {
		t.Errorf("not 3 examples and 3 to measure on:\n%s", out)
	}
}

// The flags' defaults are TuningDefault's, and every option of examples is a flag.
func TestFlags(t *testing.T) {
	out := clitest.Succeed(t, "", "sft", "--write-config", "--model", "x")
	var got session.Spec
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	want := session.TuningDefault()
	want.Model.Init, want.Schedule.Epochs, want.Schedule.LR = "x", 3, []float64{2e-5}
	want.Optimizer.WeightDecay = []float64{0}
	want.Method.TrainEmbedding, want.Method.TrainHead, want.Method.TrainNorms = false, false, false
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	known := map[string]bool{}
	var walk func(reflect.Type)
	walk = func(of reflect.Type) {
		for i := range of.NumField() {
			if f := of.Field(i); f.Anonymous {
				walk(f.Type)
			} else {
				known[string(flags.FieldOption(f))] = true
			}
		}
	}
	walk(reflect.TypeOf(sft.Cmd{}))
	for _, o := range session.TuningOptions {
		if !known[string(o)] {
			t.Errorf("the option %s has no flag", o)
		}
	}
}

// A run by a configuration is the run by flags; flags that are given count more, and what the file leaves out has the
// flags' defaults.
func TestConfig(t *testing.T) {
	model, file := base(t), alpaca(t, 12)
	plain, run := clitest.NewRun(t), clitest.NewRun(t)
	line := tune(model, file, plain, "--lora", "--rank", "2", "--steps", "3")
	config := clitest.WriteFile(t, "run.json", clitest.Succeed(t, "", append(line, "--write-config", "--seed", "7")...))
	clitest.Succeed(t, "", line...)
	clitest.Succeed(t, "", "sft", "--config", config, "--seed", "1", "--out", run, "--device", "host")
	if got, want := clitest.LossLines(t, run), clitest.LossLines(t, plain); got != want {
		t.Errorf("losses\n%s\nby flags\n%s", got, want)
	}
	spec := func(text string, more ...string) (s session.Spec) {
		t.Helper()
		out := clitest.Succeed(t, "", append([]string{"sft", "--config", clitest.WriteFile(t, "a.json", text),
			"--write-config"}, more...)...)
		if err := json.Unmarshal([]byte(out), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	want := spec(clitest.Succeed(t, "", "sft", "--model", "x", "--lora", "--write-config"))
	for _, c := range []struct {
		text string
		more []string
	}{
		{`{"model": {"init": "x"}, "method": {"name": "lora"}}`, nil},
		{`{"model": {"init": "y"}, "schedule": {"steps": 5}}`, []string{"--model", "x", "--lora", "--epochs", "3"}},
	} {
		if got := spec(c.text, c.more...); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v\nwant %+v", c.text, got, want)
		}
	}
	for text, part := range map[string]string{
		`{"method": {"name": "step"}}`:     "method.name step: sft trains all parameters",
		`{"model": {"name": "tiny"}}`:      "model.name tiny",
		`{"tuning": {"batchings": "a"}}`:   "did you mean tuning.batching?",
		`{"tuning": {"batching": ""}}`:     "choose packed or padded",
		`{"schedule": {"epochs": "many"}}`: "schedule.epochs",
	} {
		clitest.Fail(t, 1, []string{"a.json", part}, "sft", "--config", clitest.WriteFile(t, "a.json", text))
	}
	clitest.Fail(t, 2, []string{"--config", "--resume"}, "sft", "--config", config, "--resume", run)
}

// Bad input is one line, and leaves no folder.
func TestBadInput(t *testing.T) {
	model, good := base(t), alpaca(t, 8)
	cut := clitest.WriteFile(t, "cut.jsonl", `{"instruction": "a", "output": "b"}`+"\n"+`{"instruction": "a", "outp`)
	missing := clitest.WriteFile(t, "missing.jsonl", `{"instruction": "a"}`)
	empty := clitest.WriteFile(t, "empty.jsonl", `{"instruction": "a", "output": ""}`)
	long := clitest.WriteFile(t, "long.jsonl", `{"instruction": "`+strings.Repeat("x ", 600)+`", "output": "b"}`)
	run := clitest.NewRun(t)
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no model", []string{"sft", "--data", good, "--out", run}, 2, "missing flags: --model"},
		{"no data", []string{"sft", "--model", model, "--out", run}, 2, "--data"},
		{"no folder", []string{"sft", "--model", model, "--data", good}, 2, "--out"},
		{"another model", tune(filepath.Dir(good), good, run), 1, "holds no run, no checkpoint and no Hugging Face"},
		{"no file", tune(model, "nowhere.json", run), 1, "nowhere.json: no such file"},
		{"cut", tune(model, cut, run), 1, "cut.jsonl, line 2: it is no JSON"},
		{"missing", tune(model, missing, run), 1, `missing.jsonl, line 1: it has no "output"`},
		{"empty", tune(model, empty, run), 1, "1 with an empty answer"},
		{"long", tune(model, long, run), 1, "1 whose prompt alone fills a window"},
		{"positions", tune(model, good, run, "--seq-len", "1024"), 1, "1024 is above the model's 512 positions"},
		{"both", tune(model, good, run, "--full", "--lora"), 2, "--full"},
		{"patience", tune(model, good, run, "--patience", "2"), 2, "nothing to measure on"},
		{"all held out", tune(model, good, run, "--holdout", "0.000001"), 1, "both parts need at least one"},
		{"weights", tune(model, good+"=0.5", run), 2, "not mixed by weights"},
		{"another run", []string{"sft", "--resume", model}, 2, "none of sft's"},
	} {
		out, complaint, code := clitest.Call(t, "", c.args...)
		if code != c.code || !strings.Contains(complaint, c.want) || strings.Count(complaint, "error:") != 1 {
			t.Errorf("%s: exit %d, want %d: %s%s, want %q", c.name, code, c.code, out, complaint, c.want)
		}
		if _, err := os.Stat(run); err == nil {
			t.Errorf("%s: the folder is there", c.name)
			os.RemoveAll(run)
		}
	}
}

// Micro-batches that fill up an epoch's last step hold no tokens: a run counts as many in one step as in several.
func TestPaddingIsNoTokens(t *testing.T) {
	model, file := base(t), alpaca(t, 3)
	var tokens []int64
	for _, accum := range []string{"1", "4"} {
		run := clitest.NewRun(t)
		clitest.Succeed(t, "", tune(model, file, run, "--full", "--batching", "padded", "--epochs", "1", "--samples",
			"0", "--grad-accum", accum)...)
		steps := events[record.Metrics](t, run)
		tokens = append(tokens, steps[len(steps)-1].Tokens)
	}
	if tokens[0] == 0 || tokens[0] != tokens[1] {
		t.Errorf("%d tokens in steps of one micro-batch, %d in a step of four", tokens[0], tokens[1])
	}
}
