package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"steplm/cmd/steplm/internal/devices"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/gpu/replay"
	"steplm/internal/clock"
	"steplm/model"
	"steplm/model/advice"
	"steplm/stage/plan"
	"steplm/stage/recipe"
	"steplm/stage/session"
	"steplm/stage/synthetic"
	"steplm/stage/trainer"
)

// benchStepCmd times whole training steps on random tokens.
type benchStepCmd struct {
	flags.MethodFlags `embed:""`
	Steps             int `default:"5" placeholder:"N" help:"Timed steps of each stage, after one that warms up. Default: ${default}."`
	flags.DeviceFlag
	devices.TuneFlags
	JSON bool `help:"Print JSON."`
}

// stepBench is what a method's stages were measured to take.
type stepBench struct {
	Device string       `json:"device"`
	Method string       `json:"method"`
	Model  model.Config `json:"model"`
	Batch  model.Size   `json:"micro_batch"`
	Accum  int          `json:"grad_accum"`
	Peak   float64      `json:"peak_gflops,omitempty"` // of the products at their best, between the steps
	Turns  bool         `json:"in_turns"`              // or one stage after another, for want of memory
	// Of the method's whole run, its stages as long as they are by default.
	Tokens float64 `json:"tokens_per_second"`
	GFLOPS float64 `json:"gflops"`
	MFU    float64 `json:"mfu,omitempty"`
	// Ledger is the most bytes on the device at once: of all stages together where they ran in turns,
	// with the tensors of what is timed by itself.
	Ledger  int64             `json:"ledger_peak_bytes"`
	Variant map[string]string `json:"variant"` // that ran, by class of kernels
	Stages  []stageBench      `json:"stages"`  // of STEP vanilla comes first
}

// stageBench is one stage's.
type stageBench struct {
	Name     string  `json:"name"`
	Layers   int     `json:"layers"`
	Bytes    int64   `json:"planned_bytes"`              // on the device while the stage trains, by its plan
	Seconds  float64 `json:"step_seconds"`               // median
	CPU      float64 `json:"step_cpu_seconds,omitempty"` // of the process, where the device computes in it; median
	Spread   float64 `json:"spread"`                     // slowest less quickest step, of the median
	Tokens   float64 `json:"tokens_per_second"`
	GFLOPS   float64 `json:"gflops"`
	MFU      float64 `json:"mfu,omitempty"`   // of Peak
	Handing  float64 `json:"handing_seconds"` // from a step's begin until all of it is handed to the device
	Products kernels `json:"matmuls"`
	Attend   kernels `json:"attention"`
	// Operations of one step.
	FLOPs model.FLOPs `json:"flops"`
	Total float64     `json:"flops_per_step"`
	// Against vanilla.
	TimeRatio float64 `json:"time_of_vanilla,omitempty"`
	CPURatio  float64 `json:"cpu_time_of_vanilla,omitempty"`
	FLOPRatio float64 `json:"flops_of_vanilla,omitempty"`
}

// kernels are a step's calls of one kind, timed by themselves.
type kernels struct {
	FLOPs   float64 `json:"flops"` // of a step
	Seconds float64 `json:"seconds"`
	// Of the step's time, by the clock and on CPUs; medians over the turns.
	Share    float64 `json:"share"`
	CPUShare float64 `json:"cpu_share,omitempty"`
}

func (c *benchStepCmd) Run(ctx context.Context) error {
	if c.Steps < 1 {
		return flags.Usagef("--steps %d: it must be 1 or more", c.Steps)
	}
	spec, err := c.Spec()
	if err != nil {
		return err
	}
	r, beside, err := stepRecipes(spec)
	if err != nil {
		return err
	}
	return measured(c.DeviceFlag, c.JSON, func(dev gpu.Device) (stepBench, error) {
		return measureSteps(ctx, dev, r, beside, c.Steps, c.TuneFlags, c.JSON)
	})
}

// stepRecipes are the run that is asked for and, of a method in stages, one that trains the whole model at
// the same micro-batch to compare with.
func stepRecipes(spec session.Spec) (r recipe.Recipe, beside *recipe.Recipe, err error) {
	if r, err = flags.ShapeRecipe(spec); err != nil {
		return r, nil, err
	}
	method, err := recipe.FindMethod(spec.Method.Name)
	if err != nil || !method.Heeds(advice.Stages) {
		return r, nil, err
	}
	o, err := spec.Shape(0)
	if err != nil {
		return r, nil, flags.AsUsage(err)
	}
	o.Batch, o.GradAccum, o.Recompute = r.Batch, r.GradAccum, recipe.RecomputeNone
	if r.Batch.Recompute {
		o.Recompute = recipe.RecomputeBlock
	}
	o.Stages, o.Split, o.Storage.Frozen = 1, nil, ""
	v, err := plan.ShapeRecipe(baseline, o)
	return r, &v, err
}

// baseline is the method that others are compared with.
const baseline = "vanilla"

// stepRunner is a stage that steps on random tokens.
type stepRunner struct {
	stageBench
	trainer *trainer.Trainer
	step    *timed
	handing []float64
	replays []replayed
	specs   []gpu.Spec
	recipe  recipe.Recipe
	stage   int
}

// handed is a device that notes when the first word of a step is read back: by then all of
// the step has been handed over.
type handed struct {
	gpu.Device
	at time.Time
}

func (d *handed) Read(t gpu.Tensor, at int, words []uint32) error {
	if d.at.IsZero() {
		d.at = clock.Now()
	}
	return d.Device.Read(t, at, words)
}

// trainable fills in what a recipe of shapes leaves open: rates so low that no weight
// diverges, and the clipping that a run has.
func trainable(r recipe.Recipe) recipe.Recipe {
	r.Stages = slices.Clone(r.Stages)
	for i := range r.Stages {
		r.Stages[i].LR, r.Stages[i].EmbeddingLR, r.Stages[i].LoRALR = 1e-6, 0, 1e-6
	}
	r.Optimizer.MaxNorm = 1
	return r
}

// newRunners are the stages of a run, nothing of them allocated yet.
func newRunners(r recipe.Recipe) ([]*stepRunner, error) {
	r = trainable(r)
	layouts, err := r.Layouts()
	if err != nil {
		return nil, err
	}
	var list []*stepRunner
	for i, l := range layouts {
		f := l.FLOPs(r.Batch)
		for _, part := range []*float64{&f.Forward, &f.Backward, &f.WeightGradients, &f.LoRA, &f.Attention, &f.Head,
			&f.Recomputation} {
			*part *= float64(r.GradAccum)
		}
		x := &stepRunner{recipe: r, stage: i, specs: r.Specs(l), stageBench: stageBench{Name: r.Method,
			Layers: len(l.Blocks), FLOPs: f, Total: f.Total()}}
		if len(layouts) > 1 {
			x.Name = fmt.Sprintf("%s: %d", r.Method, i+1)
		}
		list = append(list, x)
	}
	return list, nil
}

// begin allocates the stage and prepares what there is to time.
func (x *stepRunner) begin(ctx context.Context, dev gpu.Device, rp *replay.Replay) (err error) {
	d := &handed{Device: dev}
	if x.trainer, err = trainer.NewAt(d, x.recipe, synthetic.New(x.recipe.Batch, x.recipe.Model.Vocab, 1),
		x.stage); err != nil {
		return err
	}
	x.step = &timed{once: func() (spent, error) {
		d.at = time.Time{}
		start, read := clock.Now(), stopwatch()
		_, err := x.trainer.Step(ctx)
		x.handing = append(x.handing, d.at.Sub(start).Seconds())
		return read(), err
	}}
	calls, err := trainer.Calls(dev, x.recipe, x.stage)
	if err != nil {
		return err
	}
	x.replays, err = newReplays(dev, rp, calls)
	return err
}

// sum sums up what was timed.
func (x *stepRunner) sum(dev gpu.Device, peak float64) {
	if dev.Limits().CPU {
		x.CPU = median(x.step.cpu)
	}
	x.Seconds, x.Spread = x.step.median(), x.step.spread()
	x.Tokens = float64(x.recipe.TokensPerStep()) / x.Seconds
	x.GFLOPS = x.Total / x.Seconds / 1e9
	x.MFU = view.Ratio(x.GFLOPS, peak)
	x.Handing = median(x.handing[1:])
	x.Products = sumReplays(x.replays, "matmul", x.step, x.recipe.GradAccum)
	x.Attend = sumReplays(x.replays, "attention", x.step, x.recipe.GradAccum)
	if x.CPU == 0 { // what the process does is no measure of the device
		x.Products.CPUShare, x.Attend.CPUShare = 0, 0
	}
}

// measureSteps times the steps of every stage in turns with its products and attention by
// themselves and with the device's best product. Where memory does not suffice for
// all stages at once, one stage follows another.
func measureSteps(ctx context.Context, dev gpu.Device, r recipe.Recipe, beside *recipe.Recipe, steps int,
	tuning devices.TuneFlags, quiet bool) (stepBench, error) {
	b := stepBench{Device: dev.Name(), Method: r.Method, Model: r.Model, Batch: r.Batch, Accum: r.GradAccum}
	runners, work, err := runnersOf(dev, r, beside)
	if err != nil {
		return b, err
	}
	if _, err := tuning.Tune(ctx, dev, work, r.Storage.Precision, quiet); err != nil {
		return b, err
	}
	all := [][]gpu.Spec{dev.Own()}
	for _, x := range runners {
		all = append(all, x.specs)
		x.Bytes = gpu.Plan(dev.Own(), x.specs).Total()
	}
	if b.Turns = gpu.CheckFits(dev, gpu.Plan(all...)) == nil; b.Turns {
		b.Peak, err = measureGroup(ctx, dev, runners, steps, quiet)
		// A GPU tells only by refusing.
		b.Turns = len(runners) == 1 || !errors.As(err, new(*gpu.AllocateError))
	}
	if !b.Turns {
		for _, x := range runners {
			var peak float64
			if peak, err = measureGroup(ctx, dev, []*stepRunner{x}, steps, quiet); err != nil {
				break
			}
			b.Peak = max(b.Peak, peak)
		}
	}
	if err != nil {
		return b, err
	}
	for _, x := range runners {
		if first := runners[0]; x != first && beside != nil {
			x.TimeRatio, x.FLOPRatio = overTurns(x.step.wall, first.step.wall), x.Total/first.Total
			if x.CPU > 0 {
				x.CPURatio = overTurns(x.step.cpu, first.step.cpu)
			}
		}
		b.Stages = append(b.Stages, x.stageBench)
	}
	b.Variant = variants(dev, work)
	b.Ledger = dev.Ledger().Peak()
	var tokens, flops, seconds float64
	for _, x := range runners[len(runners)-len(r.Stages):] {
		n := float64(r.Stages[x.stage].Steps)
		tokens, flops, seconds = tokens+n*float64(r.TokensPerStep()), flops+n*x.Total, seconds+n*x.Seconds
	}
	b.Tokens, b.GFLOPS = tokens/seconds, flops/seconds/1e9
	b.MFU = view.Ratio(b.GFLOPS, b.Peak)
	return b, nil
}

// runnersOf lists the stages, vanilla's before STEP's, and what they spend in classes of
// kernels.
func runnersOf(dev gpu.Device, r recipe.Recipe, beside *recipe.Recipe) (list []*stepRunner, work map[string]float64,
	err error) {
	recipes := []recipe.Recipe{r}
	if beside != nil {
		recipes = []recipe.Recipe{*beside, r}
	}
	work = map[string]float64{}
	for _, r := range recipes {
		runners, err := newRunners(r)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, runners...)
		classes, err := trainer.Classes(r, dev.Limits())
		if err != nil {
			return nil, nil, err
		}
		maps.Copy(work, classes)
	}
	return list, work, nil
}

// measureGroup measures stages that are on the device together, and the rate of its best
// product meanwhile, in GFLOP/s; 0 on the host, which is nothing to judge.
func measureGroup(ctx context.Context, dev gpu.Device, group []*stepRunner, steps int, quiet bool) (peak float64,
	err error) {
	rp := replay.NewReplay(dev)
	defer rp.Free()
	defer func() {
		for _, x := range group {
			if x.trainer != nil {
				x.trainer.Free()
			}
		}
	}()
	var list, parts []*timed // the steps, which are compared with each other, side by side
	for _, x := range group {
		if err := x.begin(ctx, dev, rp); err != nil {
			return 0, err
		}
		list = append(list, x.step)
		for _, r := range x.replays {
			parts = append(parts, r.timed)
		}
	}
	list = append(list, parts...)
	if gpu.Tunable(dev) {
		best, free, err := timedPeak(dev, group[0].recipe.Storage.Precision)
		if err != nil {
			return 0, err
		}
		defer free()
		list = append(list, best)
	}
	if err := takeTurns(ctx, list, steps, view.ProgressOutput(quiet), "steps"); err != nil {
		return 0, err
	}
	if gpu.Tunable(dev) {
		peak = peakFLOPs / list[len(list)-1].median() / 1e9
	}
	for _, x := range group {
		x.sum(dev, peak)
	}
	return peak, nil
}

func (b stepBench) print(w io.Writer) {
	c := b.Model
	fmt.Fprintf(w, "steps of %d x %d tokens, %d micro-batches; hidden %d, FFN %d, %d layers, vocabulary %d; on %s\n",
		b.Batch.Batch, b.Batch.SeqLen, b.Accum, c.Hidden, c.FFN, c.Layers, c.Vocab, b.Device)
	if b.Peak > 0 {
		fmt.Fprintf(w, "the device's best product, between the steps: %s GFLOP/s\n", view.Figure(b.Peak))
	}
	rows := [][]string{{"", "layers", "s/step", "spread", "handed over in", "tokens/s", "GFLOP/step", "GFLOP/s", "MFU"}}
	alone := [][]string{{"alone, of the step", "matmuls, GFLOP", "seconds", "time", "CPU time", "attention, GFLOP",
		"seconds", "time", "CPU time"}}
	parts := [][]string{{"GFLOP/step", "forward", "backward", "of both: dW", "adapters", "attention", "head",
		"recomputation"}}
	for _, s := range b.Stages {
		rows = append(rows, []string{s.Name, fmt.Sprint(s.Layers), view.Figure(s.Seconds), view.PerCent(s.Spread),
			view.Figure(1e3*s.Handing) + " ms", view.Figure(s.Tokens), view.Figure(s.Total / 1e9), view.Figure(
				s.GFLOPS), view.PerCent(view.Ratio(s.GFLOPS, b.Peak))})
		row, part := []string{s.Name}, []string{s.Name}
		for _, k := range []kernels{s.Products, s.Attend} {
			row = append(row, view.Figure(k.FLOPs/1e9), view.Figure(k.Seconds), view.PerCent(k.Share),
				view.PerCent(k.CPUShare))
		}
		alone = append(alone, row)
		for _, f := range []float64{s.FLOPs.Forward, s.FLOPs.Backward, s.FLOPs.WeightGradients, s.FLOPs.LoRA,
			s.FLOPs.Attention, s.FLOPs.Head, s.FLOPs.Recomputation} {
			part = append(part, view.Figure(f/1e9))
		}
		parts = append(parts, part)
	}
	view.Table(w, 1, rows)
	fmt.Fprintln(w, "\nEach of a step's calls timed by itself, and their sum against the step")
	view.Table(w, 1, alone)
	fmt.Fprintln(w)
	view.Table(w, 1, parts)
	if b.Stages[len(b.Stages)-1].TimeRatio == 0 {
		return
	}
	fmt.Fprintln(w)
	against := [][]string{{"against vanilla", "operations", "time", "more than operations say", "CPU time", "more"}}
	for _, s := range b.Stages[1:] {
		row := []string{s.Name, view.Figure(s.FLOPRatio), view.Figure(s.TimeRatio), more(s.TimeRatio, s.FLOPRatio), "-",
			"-"}
		if s.CPURatio > 0 {
			row[4], row[5] = view.Figure(s.CPURatio), more(s.CPURatio, s.FLOPRatio)
		}
		against = append(against, row)
	}
	view.Table(w, 1, against)
	if !b.Turns {
		fmt.Fprintln(w, "measured one after another: memory does not suffice for all stages at once")
	}
}

// more is how much larger a is than b, in per cent.
func more(a, b float64) string { return fmt.Sprintf("%+.1f %%", 100*(a/b-1)) }
