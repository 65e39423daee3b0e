package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"steplm/data"
	"steplm/data/tokenizer"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/optim"
	"steplm/stage"
	"steplm/stage/eval"
)

// pretrainCmd trains a model. Its defaults are what the paper leaves open.
type pretrainCmd struct {
	Method string `default:"step" enum:"${methods}" help:"Training method: ${enum}."`
	ModelFlags

	Validation string `placeholder:"PATH" help:"Validation data, for token perplexity."`
	Wikitext   string `placeholder:"PATH" help:"WikiText, for word perplexity: wiki.test.raw or Parquet rows."`
	Tokenizer  string `required:"" placeholder:"PATH" help:"tokenizer.json, a SentencePiece .model, or a directory with one or with vocab.json and merges.txt."`
	Out        string `required:"" placeholder:"DIR" help:"Run folder to begin, or with --resume to go on in."`
	Resume     bool   `help:"Go on from the last checkpoint; repeat the run's other flags."`

	Steps     int   `xor:"length" required:"" placeholder:"N" help:"Optimizer steps of the whole run."`
	Tokens    int64 `xor:"length" required:"" placeholder:"N" help:"Tokens of the whole run, instead of --steps."`
	BatchSize int   `default:"8" help:"Sequences per micro-batch."`
	GradAccum int   `default:"1" help:"Micro-batches per optimizer step."`

	DataFlags    `group:"Data"`
	StorageFlags `group:"Memory"`

	StepFlags `group:"STEP"`
	GrowAt    float64 `group:"STEP" default:"0.75" help:"Fraction of a stage's schedule after which the model grows."`
	Operator  string  `group:"STEP" default:"mean" help:"Growth operator: mean or copy."`
	Position  string  `group:"STEP" default:"upper" help:"Where new layers go: upper, intermediate, lower or random."`
	Adapters  string  `group:"STEP" default:"merge" enum:"merge,keep" help:"Adapters at the next growth: ${enum}."`

	LR                 []float64 `default:"1e-3" help:"Peak learning rate, one for all stages or one for each."`
	WeightDecay        []float64 `default:"0.1" help:"Decoupled weight decay, likewise; never on norms."`
	AdapterLR          float64   `group:"STEP" default:"1" help:"Factor on the learning rate for adapters."`
	AdapterWeightDecay float64   `group:"STEP" default:"1" help:"Factor on the weight decay for adapters."`
	Schedule           string    `default:"cosine" enum:"cosine,constant" help:"Learning-rate schedule: ${enum}."`
	Warmup             int       `default:"-1" help:"Warm-up steps at the start; -1: 5 % of the stage's schedule."`
	Rewarm             int       `group:"STEP" default:"-1" help:"Warm-up steps after each growth; -1: 5 % of the stage's schedule."`
	MinLRRatio         float64   `name:"min-lr-ratio" default:"0.1" help:"Where the cosine ends, relative to its peak."`
	Beta1              float64   `name:"beta1" default:"0.9" help:"AdamW's first beta."`
	Beta2              float64   `name:"beta2" default:"0.95" help:"AdamW's second beta."`
	Eps                float64   `default:"1e-8" help:"AdamW's epsilon."`
	ClipNorm           float64   `default:"1" help:"Global gradient norm to clip to; 0: no clipping."`
	Seed               uint64    `default:"1" help:"Seed of initial weights, order of the data and random growth."`

	SaveEvery  int   `default:"200" help:"Steps between checkpoints, besides those before growth and at the end; 0: those alone."`
	Keep       int   `default:"2" help:"Checkpoints to keep; 0: all."`
	EvalEvery  int   `default:"0" help:"Steps between evaluations; 0: only around growth and at the end."`
	EvalTokens int64 `default:"32768" help:"Tokens of each set scored by evaluations within the run; 0: none. The end scores all."`
	DeviceFlag
	TuneFlags
	TraceFlags
	JSON bool `name:"json" help:"Print the lines of metrics.jsonl instead of progress."`

	unused []string // flags that were given and that the method does not heed
	tracer *tracer
}

// Run is the command.
func (c *pretrainCmd) Run(ctx context.Context, line *kong.Context) error {
	method, err := stage.FindMethod(c.Method)
	if err != nil {
		return err
	}
	for _, p := range line.Path { // --stages 1 is true of every method; others are refused below
		if p.Flag != nil && !method.Heeds(optionOf(p.Flag.Name)) && p.Flag.Name != "stages" {
			c.unused = append(c.unused, "--"+p.Flag.Name)
		}
	}
	for _, f := range []struct {
		flag  string
		value int64
	}{{"save-every", int64(c.SaveEvery)}, {"keep", int64(c.Keep)}, {"eval-every", int64(c.EvalEvery)}, {"eval-tokens", c.EvalTokens}} {
		if f.value < 0 {
			return usagef("--%s %d: it must be 0 or more", f.flag, f.value)
		}
	}
	for flag, value := range map[string]string{"tokenizer": c.Tokenizer, "out": c.Out} {
		if value == "" { // an unset variable of a shell
			return usagef("--%s is empty", flag)
		}
	}
	if err := c.TokenFlags.check(); err != nil {
		return err
	}
	dev, tracer, err := c.TraceFlags.open(c.DeviceFlag)
	if err != nil {
		return err
	}
	defer dev.Close()
	c.tracer = tracer
	res, err := c.train(ctx, dev)
	if errors.Is(err, stage.ErrStopped) {
		err = fmt.Errorf("%w: go on with the same command and --resume", err)
	}
	if err == nil && !c.JSON {
		if err = writeSpeed(os.Stdout, res); err == nil {
			err = writeMemory(os.Stdout, res, dev)
		}
	}
	return tracer.finish(c.JSON, os.Stdout, dev, err)
}

// result is what a run leaves for a summary.
type result struct {
	recipe stage.Recipe
	peak   float64 // operations per second of the device's products at their best; 0: not measured
	events []stage.Event
	memory map[int]stageMemory // by stage, from 1 on
	// Of each stage:
	first, last []stage.Metrics
	steps       []int
	seconds     []float64 // spent in steps
}

// train runs the command on an open device. A run that fails before its first
// step leaves no folder.
func (c *pretrainCmd) train(ctx context.Context, dev gpu.Device) (*result, error) {
	if err := local(ctx, c.JSON, &c.Validation, &c.Wikitext); err != nil {
		return nil, err
	}
	tok, err := tokenizer.Load(c.Tokenizer)
	if err != nil {
		return nil, err
	}
	train, err := c.DataFlags.open(ctx, c.JSON, c.Seed, tok)
	if err != nil {
		return nil, err
	}
	defer train.close()
	recipe, fitted, err := c.recipe(tok, train, dev)
	if err != nil {
		return nil, err
	}
	loader, err := data.NewMixture(train.sources, tok, data.Options{
		BatchSize: recipe.Batch.Batch, SeqLen: recipe.Batch.SeqLen, Seed: c.Seed, Shuffle: true, Workers: c.workers(),
	})
	if err != nil {
		return nil, err
	}
	defer loader.Close()
	sets, err := c.sets(tok, train)
	if err != nil {
		return nil, err
	}
	// Before the folder: what cannot be run leaves no trace.
	if err := stage.CheckFits(dev, recipe); err != nil {
		return nil, err
	}
	if c.Resume {
		stage.RestoreChoices(dev, c.Out)
	}
	work, err := recipe.Classes(dev.Limits())
	if err != nil {
		return nil, err
	}
	peak, err := c.TuneFlags.tune(ctx, dev, work, recipe.Storage.Precision, c.JSON)
	if err != nil {
		return nil, err
	}
	open := stage.CreateFolder
	if c.Resume {
		open = stage.OpenFolder
	}
	folder, err := open(c.Out, recipe)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	if !c.JSON {
		describeRun(os.Stdout, recipe, train, tok, dev)
		if fitted != nil {
			fmt.Printf("%-10s %s\n", "limit", fitted)
		}
	}
	if len(c.unused) > 0 {
		fmt.Fprintf(os.Stderr, "steplm: warning: %s: of no effect with --method %s\n", strings.Join(c.unused, ", "), c.Method)
	}
	res := &result{recipe: recipe, peak: peak}
	v := newView(c.JSON, c.Out, recipe, res)
	defer v.close()
	run := &stage.Run{
		Recipe: recipe, Device: dev, Batches: loader, Folder: folder, Sets: sets,
		SaveEvery: c.SaveEvery, Keep: c.Keep, EvalEvery: c.EvalEvery, EvalTokens: c.EvalTokens, Report: c.tracer.watch(recipe, v.report()),
		Export: func(t *stage.Trainer, d *checkpoint.Dir) error { return exportHF(t.Model, tok, d) },
	}
	if c.Resume {
		err = run.Resume(ctx)
	} else {
		err = run.Start(ctx)
	}
	if err == nil {
		for _, line := range train.describeRead(loader) {
			v.note("%s", line)
		}
		return res, nil
	}
	if !c.Resume && len(res.last) == 0 && !errors.Is(err, stage.ErrStopped) {
		err = errors.Join(err, folder.Discard())
	}
	return nil, err
}

// recipe is the run that the flags describe, fitted to --memory-limit if that is
// given.
func (c *pretrainCmd) recipe(tok *tokenizer.Tokenizer, train *trainingData, dev gpu.Device) (stage.Recipe, *stage.Fitted, error) {
	o, err := c.options(tok, train)
	if err != nil {
		return stage.Recipe{}, nil, err
	}
	if c.MemoryLimit == 0 {
		r, err := stage.NewRecipe(c.Method, o)
		return r, nil, err
	}
	o, fitted, err := stage.Fit(c.Method, o, int64(c.MemoryLimit), overhead(dev))
	if err != nil {
		return stage.Recipe{}, nil, err
	}
	r, err := stage.NewRecipe(c.Method, o)
	return r, &fitted, err
}

func (c *pretrainCmd) options(tok *tokenizer.Tokenizer, train *trainingData) (stage.Options, error) {
	cfg, err := c.Config(tok.VocabSize())
	if err != nil {
		return stage.Options{}, err
	}
	size := model.Size{Batch: c.BatchSize, SeqLen: c.Window(cfg)}
	steps := c.Steps
	if c.Tokens < 0 {
		return stage.Options{}, usagef("--tokens %d: it must be 1 or more", c.Tokens)
	}
	if c.Tokens > 0 {
		per := int64(size.Rows()) * int64(c.GradAccum)
		if per < 1 {
			return stage.Options{}, fmt.Errorf("batch size %d, sequence length %d and gradient accumulation %d must be 1 or more", c.BatchSize, size.SeqLen, c.GradAccum)
		}
		steps = int((c.Tokens-1)/per + 1)
	}
	if err := c.StepFlags.check(c.Method); err != nil {
		return stage.Options{}, err
	}
	o := stage.Options{
		Model: cfg, Seed: c.Seed, Steps: steps, Batch: size, GradAccum: c.GradAccum,
		Optimizer: optim.Config{Settings: optim.AdamW{Beta1: c.Beta1, Beta2: c.Beta2, Eps: c.Eps}, MaxNorm: c.ClipNorm},
		LR:        c.LR, Decay: c.WeightDecay, AdapterLR: c.AdapterLR, AdapterDecay: c.AdapterWeightDecay,
		Schedule: c.Schedule, Warmup: c.Warmup, Rewarm: c.Rewarm, MinRatio: c.MinLRRatio,
		GrowAt: c.GrowAt, Operator: c.Operator, Position: c.Position, KeepAdapters: c.Adapters == "keep",
		Data: stage.Data{Train: train.identity(), Tokenizer: tok.Hash()},
	}
	if err := c.StorageFlags.Set(&o); err != nil {
		return o, err
	}
	return o, c.StepFlags.Set(&o, cfg)
}

func (c *pretrainCmd) sets(tok *tokenizer.Tokenizer, train *trainingData) ([]eval.Set, error) {
	sets, err := train.heldOut(c.FilterFlags, tok)
	if err != nil {
		return nil, err
	}
	if c.Validation != "" {
		s, err := data.OpenColumn(c.Validation, c.TextColumn)
		if err != nil {
			return nil, err
		}
		sets = append(sets, eval.TokenSet("validation", s, tok))
	}
	if c.Wikitext != "" {
		if _, err := eval.Texts(c.Wikitext, data.TextColumn); err != nil {
			return nil, err
		}
		sets = append(sets, eval.WikiTextSet(c.Wikitext, tok))
	}
	return sets, nil
}

// exportHF writes a model and its tokenizer as Hugging Face lays them out.
func exportHF(m *model.Model, tok *tokenizer.Tokenizer, d *checkpoint.Dir) error {
	var eos *int
	if id, ok := tok.EndOfText(); ok {
		n := int(id)
		eos = &n
	}
	if err := m.WriteHF(d, eos, eos); err != nil {
		return err
	}
	content, err := tok.JSON()
	if err != nil {
		return err
	}
	w, err := d.Create("tokenizer.json")
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	return w.Close()
}

// overhead is what the process takes besides the device's bytes, where both are
// the same memory.
func overhead(dev gpu.Device) int64 {
	if dev.Limits().CPU {
		return gpu.ProcessOverhead
	}
	return 0
}
