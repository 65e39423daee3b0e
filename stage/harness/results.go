package harness

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// About is who was evaluated, as a file of results says it.
type About struct {
	Model      string // its name
	Parameters int64
	DType      string // in which it was computed, such as float32
	Device     string
	Resamples  int
	Began      time.Time
	Took       time.Duration
}

// Results is an object in the layout of the harness's files of results, with the level of chance besides.
func (v *Vocabulary) Results(outcomes []Outcome, a About) any {
	var results, configs, versions, shots, higher, counts, chance object
	first := Options{Seed: Seed}
	for i, o := range outcomes {
		t := o.Task
		if i == 0 {
			first = o.Options
		}
		results = results.with(t.Name, o.result())
		configs = configs.with(t.Name, o.config())
		versions = versions.with(t.Name, float(t.Version))
		shots = shots.with(t.Name, o.Options.Shots)
		var better object
		for _, m := range o.Metrics {
			better = better.with(m.Name, m.Higher)
		}
		higher = higher.with(t.Name, better)
		counts = counts.with(t.Name, object{}.with("original", o.Original).with("effective", len(o.asked)))
		if o.Chance > 0 {
			chance = chance.with(t.Name, float(o.Chance))
		}
	}
	var limit any
	if first.Limit > 0 {
		limit = first.Limit
	}
	config := object{}.with("model", a.Model).with("model_args", nil).with("model_num_parameters", a.Parameters).
		with("model_dtype", a.DType).with("device", a.Device).with("limit", limit).
		with("bootstrap_iters", a.Resamples).with("random_seed", 0).with("numpy_seed", Seed).with("torch_seed", Seed).
		with("fewshot_seed", first.Seed)
	all := object{}.with("results", results).with("group_subtasks", object{}).with("configs", configs).
		with("versions", versions).with("n-shot", shots).with("higher_is_better", higher).with("n-samples", counts).
		with("chance", chance).with("config", config).with("git_hash", nil).
		with("date", float(float64(a.Began.UnixMicro())/1e6))
	end, ended := v.tokenizer.EndOfText()
	begin, begins := v.tokenizer.BeginOfText()
	all = all.with("tokenizer_eos_token", v.named(end, ended)).with("tokenizer_bos_token", v.named(begin, begins))
	if ended {
		all = all.with("eot_token_id", end)
	}
	return all.with("max_length", v.context).with("model_source", "steplm").with("model_name", a.Model).
		with("model_name_sanitized", strings.ReplaceAll(a.Model, "/", "__")).with("system_instruction", nil).
		with("chat_template", nil).with("total_evaluation_time_seconds", float(a.Took.Seconds()).String())
}

// named is a special token as results have it: its text and its id as a text.
func (v *Vocabulary) named(id uint32, there bool) any {
	if !there {
		return []any{nil, "None"}
	}
	return []string{v.tokenizer.Token(id), fmt.Sprint(id)}
}

// result is the task's numbers.
func (o Outcome) result() object {
	r := object{}.with("name", o.Task.Name).with("alias", o.Task.Name).with("sample_len", len(o.asked))
	for _, m := range o.Metrics {
		r = r.with(m.Name+",none", float(m.Value))
		if math.IsNaN(m.StdErr) {
			r = r.with(m.Name+"_stderr,none", "N/A")
		} else {
			r = r.with(m.Name+"_stderr,none", float(m.StdErr))
		}
	}
	return r
}

// config says how the task was asked.
func (o Outcome) config() object {
	t := o.Task
	c := object{}.with("task", t.Name).with("dataset_path", t.Data.Hub).with("dataset_name", t.Data.Config)
	for _, s := range []struct{ name, split string }{{"training_split", t.Data.Train},
		{"validation_split", t.Data.Validation}, {"test_split", t.Data.Test}} {
		if s.split != "" {
			c = c.with(s.name, s.split)
		}
	}
	var metrics []object
	for _, m := range o.Metrics {
		metrics = append(metrics, object{}.with("metric", m.Name).with("higher_is_better", m.Higher))
	}
	return c.with("target_delimiter", " ").with("fewshot_delimiter", shotEnd).with("num_fewshot", o.Options.Shots).
		with("metric_list", metrics).with("output_type", t.output.kind).with("repeats", 1).
		with("metadata", object{}.with("version", float(t.Version)))
}
