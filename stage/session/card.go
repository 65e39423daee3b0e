package session

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"steplm/data/hub"
	"steplm/gpu"
	"steplm/model/checkpoint"
	"steplm/stage/eval"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// cardStage is a row of the card's table: one stage.
type cardStage struct {
	Number, Layers, Steps int
	Trainable, Frozen     int64
	LR                    float64
	First, Last           float64 // losses in nats; 0: no step of it is on record
	PeakBytes             int64   // on the device
}

// card is what README.md of an exported model says: a model card as hubs show it.
type card struct {
	Name, Method, Device, Optimizer, Tokenizer, Context string
	Init                                                string // what it began with; "": random weights
	Tuned                                               bool   // on examples
	Parameters, Tokens                                  int64
	Recipe                                              recipe.Recipe
	Datasets, Sources                                   []string
	Stages                                              []cardStage
	Results                                             []eval.Result
}

// newCard gathers the card of a run from its recipe and its metrics.
func newCard(s *Session, metrics string) (*card, error) {
	r := s.Recipe
	layouts, err := r.Layouts()
	if err != nil {
		return nil, err
	}
	name, err := filepath.Abs(s.Spec.Output.Out)
	if err != nil {
		return nil, err
	}
	c := &card{
		Name: filepath.Base(name), Method: r.Method, Device: s.Device.Name(),
		Optimizer: fmt.Sprint(r.Optimizer.Settings),
		Tokenizer: r.Data.Tokenizer, Parameters: r.Model.TotalParams(), Recipe: r, Tuned: s.Spec.Tuning.On(),
	}
	if r.Init != nil {
		c.Init = filepath.Base(s.Spec.Model.Init)
	}
	for _, name := range s.read.names() {
		source := filepath.Base(name) // Where a file lies on the machine that trained is nobody's concern.
		if x, err := hub.ParseSource(name); err == nil {
			source, c.Datasets = name, append(c.Datasets, x.Owner+"/"+x.Name)
		}
		c.Sources = append(c.Sources, source)
	}
	for i, x := range r.Stages {
		trains, frozen := layouts[i].Count()
		c.Stages = append(c.Stages, cardStage{Number: i + 1, Layers: x.Layers, Steps: x.Steps, Trainable: trains,
			Frozen: frozen, LR: x.LR})
	}
	for e, err := range record.Read(metrics) {
		if err != nil {
			return nil, err
		}
		if err := c.add(e); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Family is the model's, as Hugging Face names it.
func (c *card) Family() string { return cmp.Or(c.Recipe.Model.Family, "llama") }

// add takes in an event of the run.
func (c *card) add(e record.Event) error {
	at := e.Moment()
	if at.Stage < 1 || at.Stage > len(c.Stages) {
		return nil
	}
	stage := &c.Stages[at.Stage-1]
	stage.PeakBytes = max(stage.PeakBytes, at.PeakBytes)
	switch e := e.(type) {
	case record.Metrics:
		if stage.First == 0 {
			stage.First = e.Loss
		}
		stage.Last, c.Tokens = e.Loss, e.Tokens
	case record.Evaluation:
		if e.When != "end" {
			return nil
		}
		result := eval.Result{}
		if err := e.Result.Into(&result); err != nil {
			return err
		}
		// A run that was over and went on is measured again.
		c.Results = slices.DeleteFunc(c.Results, func(r eval.Result) bool { return r.Task == result.Task })
		c.Results = append(c.Results, result)
	}
	return nil
}

var cardTemplate = template.Must(template.New("card").Funcs(template.FuncMap{
	"bytes": gpu.Bytes, "g": func(x float64) string { return fmt.Sprintf("%.4g", x) },
	"join": func(list []string) string { return strings.Join(list, ", ") },
}).Parse(`---
library_name: transformers
pipeline_tag: text-generation
tags:
- {{.Family}}
- steplm
{{- if .Datasets}}
datasets:
{{- range .Datasets}}
- {{.}}
{{- end}}
{{- end}}
---

# {{.Name}}

A language model of {{.Parameters}} parameters in the architecture of ` + "`{{.Family}}`" + `, {{if .Init}}trained further by steplm, from
{{.Init}} ({{.Recipe.Init.Layers}} layers) on,{{else}}pre-trained from scratch by steplm{{end}} with the
method ` + "`{{.Method}}`" + ` on {{.Tokens}} tokens{{if .Tuned}} of examples of instructions and answers, of which the
answers were learned. It was tuned to follow instructions as those examples have them{{else}}. It continues text; it was not
tuned to follow instructions{{end}}, and nothing was done about what it may say.

## Use

` + "```python" + `
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{{.Name}}")
model = AutoModelForCausalLM.from_pretrained("{{.Name}}")
inputs = tokenizer("Once upon a time", return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=32)[0]))
` + "```" + `

It was trained on windows of {{.Recipe.Batch.SeqLen}} tokens: longer ones are beyond what it knows.

## Training

| | |
|---|---|
| layers, hidden, FFN | {{.Recipe.Model.Layers}}, {{.Recipe.Model.Hidden}}, {{.Recipe.Model.FFN}} |
| heads (key-value) | {{.Recipe.Model.Heads}} ({{.Recipe.Model.KVHeads}}) |
| vocabulary | {{.Recipe.Model.Vocab}} |
| data | {{join .Sources}} |
| tokens a step | {{.Recipe.TokensPerStep}} |
| optimizer | {{.Optimizer}} |
| precision | {{.Recipe.Storage.Precision}} |
| seed | {{.Recipe.Seed}} |
| device | {{.Device}} |
| tokenizer's SHA-256 | {{.Tokenizer}} |

| stage | layers | steps | parameters trained | frozen | peak rate | first loss | last loss | peak on the device |
|---|---|---|---|---|---|---|---|---|
{{- range .Stages}}
| {{.Number}} | {{.Layers}} | {{.Steps}} | {{.Trainable}} | {{.Frozen}} | {{g .LR}} | {{if .First}}{{g .First}}{{end}} | {{if .Last}}{{g .Last}}{{end}} | {{bytes .PeakBytes}} |
{{- end}}

## Results
{{if .Results}}
| set | perplexity | per | tokens scored | window | stride |
|---|---|---|---|---|---|
{{- range .Results}}
| {{.Task}} | {{g .Perplexity}} | {{.Protocol.Unit}} | {{.Tokens}} | {{.Protocol.Context}} | {{.Protocol.Stride}} |
{{- end}}
{{else}}
None was measured.
{{end -}}
`))

// cardFile lies beside the exported model. checksums.json does not list it: people edit it, and what was measured after
// the model was written stands in it.
const cardFile = "README.md"

// keepCard writes the card, whole or not at all, when the trained model is there and when there is a new result of it.
func (s *Session) keepCard(e record.Event) error {
	switch e := e.(type) {
	case record.End:
	case record.Evaluation:
		if e.When != "end" {
			return nil
		}
	default:
		return nil
	}
	dir := filepath.Join(s.Spec.Output.Out, record.FinalDir)
	if !exists(dir) { // Evaluated before it is written.
		return nil
	}
	c, err := newCard(s, s.Spec.Output.Out)
	if err != nil {
		return fmt.Errorf("the model card: %w", err)
	}
	text, err := c.text()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, cardFile)
	if err := checkpoint.WriteFile(path, []byte(text)); err != nil {
		return fmt.Errorf("writing %s: %w; what it was before is still whole", path, err)
	}
	return nil
}

// text is the card in Markdown.
func (c *card) text() (string, error) {
	var b strings.Builder
	if err := cardTemplate.Execute(&b, c); err != nil {
		return "", fmt.Errorf("the model card: %w", err)
	}
	return b.String(), nil
}
