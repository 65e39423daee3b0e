package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"steplm/cmd/steplm/internal/devices"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/measure"
	"steplm/cmd/steplm/internal/view"
	"steplm/data"
	"steplm/data/corpus"
	"steplm/data/tokenizer"
	"steplm/gpu"
	"steplm/model"
	"steplm/stage"
	"steplm/stage/eval"
	"steplm/stage/record"
	"steplm/stage/session"
	"steplm/wgsl/tune"
)

// DemoCmd runs the main job on a small scale, with nothing to download: the
// embedded corpus, a tokenizer trained on it, a tiny model, two STEP stages.
type DemoCmd struct {
	Dir              string `default:"runs" placeholder:"DIR" help:"Where the corpus, the tokenizer and the run are kept. Default: ${default}."`
	Steps            int    `default:"240" placeholder:"N" help:"Optimizer steps of the run. Default: ${default}."`
	flags.DeviceFlag `embed:""`
}

const demoVocab, demoWindow = 1024, 128

// Run is the command.
func (c *DemoCmd) Run(ctx context.Context) error {
	dev, err := c.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	files := filepath.Join(c.Dir, "demo-data")
	if err := corpus.Extract(files); err != nil {
		return err
	}
	train, held := filepath.Join(files, corpus.Train), filepath.Join(files, corpus.Validation)
	tok := filepath.Join(files, "tokenizer.json")
	if err := demoTokenizer(train, tok); err != nil {
		return err
	}
	out, err := freeFolder(filepath.Join(c.Dir, "demo"))
	if err != nil {
		return err
	}
	spec := session.Default()
	window := demoWindow
	spec.Model.Name, spec.Model.SeqLen = "tiny", &window
	spec.Data.Train, spec.Data.Tokenizer, spec.Evaluation.Validation, spec.Output.Out = []string{train}, tok, held, out
	spec.Schedule.Steps, spec.Schedule.LR = c.Steps, []float64{5e-3}
	spec.Output.SaveEvery, spec.Evaluation.EvalTokens = 0, 1_000_000 // all of the held-out text
	fmt.Printf("steplm demo: a tiny model, grown once, on %s\n\n", dev.Name())
	start := time.Now()
	trials := devices.TrialFlags{SecondsPerClass: tune.Budget.Seconds()}
	demoRun := PretrainCmd{TuneFlags: devices.TuneFlags{TrialFlags: trials}}
	res, err := demoRun.train(ctx, dev, spec)
	if errors.Is(err, stage.ErrStopped) {
		return fmt.Errorf("%w; what there is of the run is in %s, the next demo begins another", err, out)
	}
	if err != nil {
		return err
	}
	took := time.Since(start)
	t, err := tokenizer.Load(tok)
	if err != nil {
		return err
	}
	baseline, err := measure.Unigram(train, held, data.TextColumn, t)
	if err != nil {
		return err
	}
	return summarize(os.Stdout, res, dev, baseline.Perplexity(), took, c.Dir, out)
}

// open takes the chosen device; where there is no adapter at all it computes in
// plain Go, and says so.
func (c *DemoCmd) open() (gpu.Device, error) {
	if c.Device == "" && len(gpu.Enumerate()) == 0 {
		fmt.Fprintf(os.Stderr, "WARNING: %s. The demo goes on in plain Go: many times slower.\n",
			flags.Explain(gpu.NoAdapter()))
		return c.Paced(func() (gpu.Device, error) { return gpu.NewHost(), nil })
	}
	return c.Open()
}

// demoTokenizer trains the demo's tokenizer, once.
func demoTokenizer(shards, path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	texts, err := eval.Texts(shards, data.TextColumn)
	if err != nil {
		return err
	}
	t, err := tokenizer.Train(texts, tokenizer.TrainOptions{VocabSize: demoVocab})
	if err != nil {
		return err
	}
	return t.Save(path)
}

// freeFolder is base, base-2, base-3, ...: the first that does not exist.
func freeFolder(base string) (string, error) {
	for i := 1; ; i++ {
		dir := base
		if i > 1 {
			dir = fmt.Sprintf("%s-%d", base, i)
		}
		switch _, err := os.Stat(dir); {
		case errors.Is(err, fs.ErrNotExist):
			return dir, nil
		case err != nil:
			return "", err
		}
	}
}

// summarize tells what the run showed.
func summarize(w io.Writer, res *result, dev gpu.Device, baseline float64, took time.Duration, dir, out string) error {
	r := res.recipe
	fmt.Fprintf(w, "\nWhat happened\n\n")
	perplexity := map[string]float64{}
	for _, e := range res.events {
		if e, ok := e.(record.Evaluation); ok {
			var found eval.Result
			if err := e.Result.Into(&found); err != nil {
				return err
			}
			perplexity[e.When] = found.Perplexity()
		}
	}
	layouts, err := r.Layouts()
	if err != nil {
		return err
	}
	rows := [][]string{{"", "layers", "steps", "trained", "frozen", "loss", "held-out perplexity", "tokens/s"}}
	rows = append(rows, []string{"unigram", "", "", "", "", "", fmt.Sprintf("%.1f", baseline), ""})
	for i, s := range r.Stages {
		trains, frozen := layouts[i].Count()
		when := "end"
		if i+1 < len(r.Stages) {
			when = "before growth"
		}
		rows = append(rows, []string{fmt.Sprintf("stage %d", i+1), fmt.Sprint(s.Layers), fmt.Sprint(s.Steps),
			view.Count(trains), view.Count(frozen),
			fmt.Sprintf("%.3f -> %.3f", res.first[i].Loss, res.last[i].Loss), fmt.Sprintf("%.2f",
				perplexity[when]), fmt.Sprintf("%.0f", res.rate(i))})
	}
	view.Table(w, 1, rows)
	for _, e := range res.events {
		if g, ok := e.(record.Growth); ok {
			fmt.Fprintf(w,
				"\nAfter step %d layers %s were put between the %d old ones, whose linears froze under LoRA of rank "+
					"%d;\nperplexity %.2f before and %.2f right after growth.\n",
				g.Step, places(g.New), g.From, r.LoRA.Rank, perplexity["before growth"], perplexity["after growth"])
		}
	}

	fmt.Fprintf(w, "\nMemory on the device, by class\n\n")
	rows = [][]string{{""}}
	for _, class := range gpu.Classes() {
		rows[0] = append(rows[0], class.String())
	}
	rows[0] = append(rows[0], "all", "of vanilla")
	vanilla := model.Plain(r.Model, r.Model.Layers)
	vanilla.Storage = r.Storage
	whole := gpu.Plan(dev.Own(), r.Specs(vanilla))
	row := func(name string, bytes func(gpu.Class) int64, all int64) {
		cells := []string{name}
		for _, class := range gpu.Classes() {
			cells = append(cells, gpu.Bytes(bytes(class)))
		}
		rows = append(rows, append(cells, gpu.Bytes(all),
			fmt.Sprintf("%.0f %%", 100*float64(all)/float64(whole.Total()))))
	}
	for i, m := range res.last {
		row(fmt.Sprintf("stage %d", i+1), func(c gpu.Class) int64 { return m.Bytes[c.String()] }, total(m.Bytes))
	}
	row("vanilla", whole.Live, whole.Total())
	view.Table(w, 1, rows)

	fmt.Fprintf(w,
		"\n%d tokens in %s. The run is in %s (metrics.jsonl, checkpoints), the model as Hugging Face lays it out in "+
			"%s,\nthe corpus and the tokenizer in %s.\n",
		res.last[len(res.last)-1].Tokens, took.Round(time.Second), out, filepath.Join(out,
			record.FinalDir), filepath.Join(dir, "demo-data"))
	return nil
}

// rate is a stage's mean tokens per second of training alone.
func (r *result) rate(i int) float64 {
	return float64(r.steps[i]) * float64(r.recipe.TokensPerStep()) / r.seconds[i]
}
