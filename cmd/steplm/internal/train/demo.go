package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"steplm/cmd/steplm/internal/devices"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/measure"
	"steplm/cmd/steplm/internal/speak"
	"steplm/cmd/steplm/internal/view"
	"steplm/data/corpus"
	"steplm/data/tokenizer"
	"steplm/gpu"
	"steplm/stage"
	"steplm/stage/eval"
	"steplm/stage/session"
	"steplm/wgsl/tune"
)

// DemoCmd runs the main job on a small scale, with nothing to download: the
// embedded corpus, a tokenizer trained on it, a tiny model, two STEP stages.
type DemoCmd struct {
	Dir              string `default:"runs" placeholder:"DIR" help:"Where the corpus, the tokenizer and the run are kept. Default: ${default}."`
	Steps            int    `default:"240" placeholder:"N" range:"1..1e9" help:"Optimizer steps of the run. Default: ${default}."`
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
	ctx = whileHeard(ctx)
	files := filepath.Join(c.Dir, "demo-data")
	if err := corpus.Extract(files); err != nil {
		return err
	}
	train, held := filepath.Join(files, corpus.Train), filepath.Join(files, corpus.Validation)
	tok := filepath.Join(files, "tokenizer.json")
	learning := view.NewProgress(os.Stderr, "train the tokenizer", 0, "")
	err = demoTokenizer(train, tok)
	learning.Done()
	if err != nil {
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
	demoRun := Job{Spec: spec, Tune: devices.TuneFlags{TrialFlags: trials}}
	res, err := demoRun.train(ctx, dev, nil)
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
	baseline, err := measure.Unigram(eval.Source{Path: train}, eval.Source{Path: held}, t)
	if err != nil {
		return err
	}
	return summarize(os.Stdout, ending{res: res, dev: dev, out: out, took: took, unigram: baseline.Perplexity(),
		device: c.Device, material: files, samples: speak.Samples(ctx, dev, out)})
}

// open takes the chosen device; where there is no adapter at all it computes in
// plain Go, and says so.
func (c *DemoCmd) open() (gpu.Device, error) {
	if c.Device == "" && len(gpu.Enumerate()) == 0 {
		fmt.Fprintf(os.Stderr, "WARNING: %s. The demo goes on in plain Go: many times slower.\n",
			flags.Explain(gpu.NoAdapter()))
		c.Device = "host" // what the commands that the demo ends with are told, too
		return c.Paced(func() (gpu.Device, error) { return gpu.NewHost(), nil })
	}
	return c.Open()
}

// demoTokenizer trains the demo's tokenizer, once.
func demoTokenizer(shards, path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	texts, err := eval.Texts(eval.Source{Path: shards})
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

// rate is a stage's mean tokens per second of training alone.
func (r *result) rate(i int) float64 { return r.tokens[i] / r.seconds[i] }
