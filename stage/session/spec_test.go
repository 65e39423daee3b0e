package session

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"steplm/model"
	"steplm/model/advice"
)

// What is written is read back, and a Spec says only what is asked for.
func TestSpecIsJSON(t *testing.T) {
	s := Default()
	layers, tied := 5, false
	s.Model.Layers, s.Model.Tied, s.Schedule.Tokens = &layers, &tied, 300
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "hidden") || strings.Contains(string(b), `"steps"`) {
		t.Errorf("options that nobody gave: %s", b)
	}
	got, err := Read(strings.NewReader(string(b)))
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("%+v (%v), want %+v", got, err, s)
	}
}

func TestReadRefuses(t *testing.T) {
	for text, parts := range map[string][]string{
		`{"modell": {}}`:                              {"no modell", "did you mean model?"},
		`{"schedule": {"batchsize": 4}}`:              {"no schedule.batchsize", "schedule.batch_size?"},
		`{"data": {"zzz": 4}}`:                        {"no data.zzz", "there are train, tokenizer"},
		`{"schedule": {"batch_size": "four"}}`:        {"schedule.batch_size", "string", "int"},
		`{"schedule": 4}`:                             {"schedule", "number"},
		`{"schedule": {"steps": 4, "tokens": 9}}`:     {"all but one of steps, tokens, flops and epochs"},
		`{"schedule": {"steps": 4}`:                   {"no JSON", "byte"},
		`{} {}`:                                       {"JSON"},
		`{"model": {"layers": 4, "name": "tiny"}} []`: {"JSON"},
	} {
		_, err := Read(strings.NewReader(text))
		for _, part := range parts {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: error %v does not hold %q", text, err, part)
			}
		}
	}
}

// A text that is no UTF-8 would be another one in spec.json: it is refused, in a list too.
func TestTextThatJSONCannotHold(t *testing.T) {
	var s Spec
	for o, value := range map[advice.Option]any{"out": "caf\xe9", "data": []string{"a", "caf\xe9"}} {
		var wrong *OptionError
		if err := s.Set(o, value); !errors.As(err, &wrong) || wrong.Option != o ||
			!strings.Contains(wrong.Why, "UTF-8") {
			t.Errorf("%s: %v", o, err)
		}
	}
	if err := s.Set("data", []string{"café", "\uFFFD"}); err != nil {
		t.Error(err)
	}
}

// Every option can be set by its name to what it gets, and one name is one option.
func TestOptionsByName(t *testing.T) {
	seen := map[advice.Option]bool{}
	from, to := Default(), Spec{}
	from.Schedule.Steps, from.Memory.MemoryLimit = 7, 1<<30
	for _, o := range Options() {
		if seen[o] {
			t.Errorf("two options are %s", o)
		}
		seen[o] = true
		value, err := from.Get(o)
		if err != nil {
			t.Fatal(err)
		}
		if o == optionTokens || o == advice.FLOPs || o == optionEpochs {
			continue // It replaces the steps.
		}
		if err := to.Set(o, value); err != nil {
			t.Errorf("%s: %v", o, err)
		}
	}
	if !reflect.DeepEqual(to, from) {
		t.Errorf("%+v, want %+v", to, from)
	}
	if err := to.Set(optionTokens, 300); err != nil || to.Schedule.Steps != 0 || to.Schedule.Tokens != 300 {
		t.Errorf("%+v, %v", to.Schedule, err)
	}
	if err := to.Set(optionEpochs, 2); err != nil || to.Schedule.Tokens != 0 || to.Schedule.Epochs != 2 {
		t.Errorf("%+v, %v", to.Schedule, err)
	}
	if err := to.Set(advice.FLOPs, 1e9); err != nil || to.Schedule.Epochs != 0 ||
		to.Schedule.Tokens != 0 || to.Schedule.FLOPs != 1e9 {
		t.Errorf("%+v, %v", to.Schedule, err)
	}
	if err := to.Set("seed", "many"); !errors.As(err, new(*OptionError)) {
		t.Errorf("error %v", err)
	}
	if err := to.Set("sead", 1); err == nil {
		t.Error("an option that there is not was set")
	}
}

// A run's own Spec takes of what is given what may change, and refuses the rest.
func TestMerge(t *testing.T) {
	own := Default()
	own.Data.Train, own.Data.Tokenizer, own.Output.Out, own.Data.Stream,
		own.Data.Shards = []string{"hf://datasets/o/n"}, "t.json", "run", true, 3
	asked := Default()
	asked.Data.Train, asked.Schedule.Seed, asked.Output.Keep, asked.Schedule.LR = []string{"here"}, 2, 9, []float64{7}
	got, err := own.Merge(asked, []advice.Option{"data", "keep"})
	if err != nil || got.Output.Keep != 9 || got.Schedule.Seed != 1 || got.Output.Out != "run" || got.Data.Stream ||
		got.Data.Shards != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if !filepath.IsAbs(got.Data.Train[0]) || filepath.Base(got.Data.Train[0]) != "here" {
		t.Errorf("data %v", got.Data.Train)
	}
	_, err = own.Merge(asked, []advice.Option{"keep", "seed"})
	var differ *Disagreement
	if !errors.As(err, &differ) || differ.Option != "seed" || differ.Runs != "1" || differ.Asked != "2" ||
		differ.Dir != "run" {
		t.Errorf("error %v", err)
	}
	if _, err := own.Merge(asked, []advice.Option{"lr"}); err == nil || own.Output.Keep != 2 {
		t.Errorf("error %v, own %+v", err, own.Output)
	}
	if _, err := Saved(t.TempDir()); err == nil || !strings.Contains(err.Error(), "holds no run") {
		t.Errorf("error %v", err)
	}
}

func TestWeights(t *testing.T) {
	dir := t.TempDir()
	odd := filepath.Join(dir, "a=1")
	if err := os.WriteFile(odd, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]struct {
		path   string
		weight float64
		given  bool
	}{"a": {"a", 1, false}, "a=0.5": {"a", 0.5, true}, "a=b": {"a=b", 1, false}, odd: {odd, 1, false}, odd +
		"=2": {odd, 2, true}} {
		if path, weight, given := splitWeight(text); path != want.path || weight != want.weight || given != want.given {
			t.Errorf("%s: %s %g %t", text, path, weight, given)
		}
	}
}

// A run of a version that took names of special tokens for the tokens goes on so; a new one does not begin so.
func TestEarlierRunsParseSpecialTokens(t *testing.T) {
	for content, want := range map[string]bool{
		`{"data": {"skip_bad": true}}`: true, `{"data": {"parse_special": false}}`: false,
		`{"data": {"parse_special": true}}`: true, `{}`: true,
	} {
		if s, err := readSaved([]byte(content)); err != nil || s.Data.ParseSpecial != want {
			t.Errorf("%s: %v, %v, want %v", content, s.Data.ParseSpecial, err, want)
		}
	}
	if s, err := readSaved([]byte(`{"data": {}}`)); err != nil || s.Data.DocumentTokens != DocumentTokensEOS {
		t.Errorf("an earlier run goes on with document tokens %q, %v", s.Data.DocumentTokens, err)
	}
	if d := Default().Data; d.ParseSpecial || d.DocumentTokens != DocumentTokensAuto {
		t.Errorf("a new run begins with %v, %q", d.ParseSpecial, d.DocumentTokens)
	}
}

func TestModelConfig(t *testing.T) {
	n := func(i int) *int { return &i }
	yes := true
	grouped := filepath.Join(t.TempDir(), "grouped.json")
	config := []byte(`{"hidden_size": 32, "intermediate_size": 12, "num_hidden_layers": 1,
		"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 9}`)
	if err := os.WriteFile(grouped, config, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		asked Model
		vocab int
		want  model.Config
	}{
		{"preset", Model{Name: "1.2B"}, 0, model.Config{Hidden: 2048, FFN: 5461, Layers: 24, Heads: 32, KVHeads: 32,
			Vocab: 32000, MaxSeqLen: 2048, NormEps: 1e-6, RopeTheta: 10000}},
		{"tokenizer's vocabulary", Model{Name: "60m", Layers: n(2)}, 500, model.Config{Hidden: 512, FFN: 1376,
			Layers: 2, Heads: 8, KVHeads: 8, Vocab: 500, MaxSeqLen: 2048, NormEps: 1e-6, RopeTheta: 10000}},
		{"larger vocabulary", Model{Name: "60m", Vocab: n(512), Tied: &yes}, 500, model.Config{Hidden: 512, FFN: 1376,
			Layers: 8, Heads: 8, KVHeads: 8, Vocab: 512, MaxSeqLen: 2048, NormEps: 1e-6, RopeTheta: 10000, Tied: true}},
		{"heads without groups", Model{Name: "60m", Heads: n(16)}, 0, model.Config{Hidden: 512, FFN: 1376, Layers: 8,
			Heads: 16, KVHeads: 16, Vocab: 32000, MaxSeqLen: 2048, NormEps: 1e-6, RopeTheta: 10000}},
		{"heads in groups", Model{Name: grouped, Heads: n(8)}, 0, model.Config{Hidden: 32, FFN: 12, Layers: 1, Heads: 8,
			KVHeads: 2, Vocab: 9, MaxSeqLen: 2048, NormEps: 1e-6, RopeTheta: 10000}},
		{"dimensions", Model{Hidden: n(8), FFN: n(12), Layers: n(1), Heads: n(2)}, 9, model.Config{Hidden: 8, FFN: 12,
			Layers: 1, Heads: 2, KVHeads: 2, Vocab: 9, MaxSeqLen: 2048, NormEps: 1e-5, RopeTheta: 10000}},
	} {
		got, err := c.asked.Config(c.vocab)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v (%v), want %+v", c.name, got, err, c.want)
		}
	}
	if _, err := (Model{Name: "60m", Vocab: n(400)}).Config(500); err == nil {
		t.Error("a vocabulary below the tokenizer's was taken")
	}
	if got := (Model{}).Window(model.Config{MaxSeqLen: 100}); got != 100 {
		t.Errorf("window %d of a model with 100 positions", got)
	}
}

// What says something of documents alone is refused where the data are examples, the first of several always.
func TestExamplesTakeNoOptionsOfDocuments(t *testing.T) {
	for option, set := range map[advice.Option]func(*Data){
		"min_score": func(d *Data) { d.MinScore, d.Stream = new(float64), true },
		"stream":    func(d *Data) { d.Stream = true },
		"shards":    func(d *Data) { d.Shards = 2 }, "text_column": func(d *Data) { d.TextColumn = "body" },
		"max_line": func(d *Data) { d.MaxLine = 9 },
	} {
		s := TuningDefault()
		s.Data.Train = []string{"hf://datasets/a/b"}
		if err := s.Tuning.check(s); err != nil {
			t.Fatal(err)
		}
		set(&s.Data)
		var bad *OptionError
		if err := s.Tuning.check(s); !errors.As(err, &bad) || bad.Option != option {
			t.Errorf("%s: %v", option, err)
		}
	}
}
