package bench

import (
	"context"
	"fmt"
	"io"
	"maps"
	"reflect"

	"steplm/cmd/steplm/internal/devices"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/optim"
	"steplm/stage/recipe"
	"steplm/stage/synthetic"
	"steplm/stage/trainer"
)

// benchMethodsCmd times the steps of every method and of every optimizer beside each other.
type benchMethodsCmd struct {
	flags.ModelFlags   `embed:"" group:"Model"`
	flags.StepFlags    `embed:"" group:"STEP"`
	flags.StorageFlags `embed:"" group:"Memory"`
	BatchSize          int `default:"${batch_size}" placeholder:"N" range:"1..1e9" help:"Windows per micro-batch. Default: ${default}."`
	GradAccum          int `default:"${grad_accum}" placeholder:"N" range:"1..1e9" help:"Micro-batches per step. Default: ${default}."`
	Steps              int `default:"5" placeholder:"N" range:"1..100" help:"Timed steps of each, after one that warms up. Default: ${default}."`
	flags.DeviceFlag
	devices.TuneFlags
	JSON bool `help:"Print JSON."`
}

// methodsBench is what the steps of methods and optimizers were measured to take, over vanilla's with AdamW.
type methodsBench struct {
	Device string       `json:"device"`
	Model  model.Config `json:"model"`
	Batch  model.Size   `json:"micro_batch"`
	Accum  int          `json:"grad_accum"`
	Rows   []methodRow  `json:"rows"` // the first is vanilla's with AdamW
}

// methodRow is one stage's.
type methodRow struct {
	Method    string  `json:"method"`
	Optimizer string  `json:"optimizer"`
	Stage     int     `json:"stage"` // 1-based
	Layers    int     `json:"layers"`
	Bytes     int64   `json:"planned_bytes"`
	Seconds   float64 `json:"step_seconds"`    // median
	Ratio     float64 `json:"time_of_vanilla"` // median over the turns
	CPURatio  float64 `json:"cpu_time_of_vanilla,omitempty"`
	// Of an optimizer whose projection is found anew every so many updates: a step that does so, and the mean step; by
	// CPU time where the device computes in the process, as other work then disturbs them little.
	Every     int     `json:"refresh_every,omitempty"`
	Refresh   float64 `json:"refresh_time_of_vanilla,omitempty"`
	Amortized float64 `json:"amortized_time_of_vanilla"`
}

// methodRunner is a stage that steps.
type methodRunner struct {
	methodRow
	recipe  recipe.Recipe
	stage   int
	refresh bool // in every step
	step    *timed
	trainer *trainer.Trainer
}

func (c *benchMethodsCmd) Run(ctx context.Context) error {
	return measured(c.DeviceFlag, c.JSON, func(dev gpu.Device) (methodsBench, error) { return c.measure(ctx, dev) })
}

// measure has all of them take turns on a device.
func (c *benchMethodsCmd) measure(ctx context.Context, dev gpu.Device) (b methodsBench, err error) {
	list, work, err := c.runners(dev)
	if err != nil {
		return b, err
	}
	r := list[0].recipe
	if _, err := c.Tune(ctx, dev, work, r.Storage.Precision, c.JSON); err != nil {
		return b, err
	}
	b = methodsBench{Device: dev.Name(), Model: r.Model, Batch: r.Batch, Accum: r.GradAccum}
	defer func() {
		for _, x := range list {
			if x.trainer != nil {
				x.trainer.Free()
			}
		}
	}()
	var steps []*timed
	for _, x := range list {
		if err := x.begin(ctx, dev); err != nil {
			return b, err
		}
		steps = append(steps, x.step)
	}
	if err := takeTurns(ctx, steps, c.Steps, view.ProgressOutput(c.JSON), "steps"); err != nil {
		return b, err
	}
	b.Rows = rowsOf(list, dev.Limits().CPU)
	return b, nil
}

// runners lists the stages of every method with its own optimizer, of vanilla with every optimizer, and with them what
// they spend in classes of kernels.
func (c *benchMethodsCmd) runners(dev gpu.Device) (list []*methodRunner, work map[string]float64, err error) {
	type pair struct{ method, optimizer string }
	pairs := []pair{{baseline, optim.Default}}
	for _, m := range recipe.Methods {
		if m.Optimizer == "" && m.Name != baseline { // the others are among vanilla's
			pairs = append(pairs, pair{m.Name, optim.Default})
		}
	}
	for _, name := range optim.Names() {
		if name != optim.Default {
			pairs = append(pairs, pair{baseline, name})
		}
	}
	spec, err := flags.SpecOf(c)
	if err != nil {
		return nil, nil, flags.AsUsage(err)
	}
	work = map[string]float64{}
	for _, p := range pairs {
		spec.Method.Name, spec.Optimizer.Name, spec.Optimizer.ProjectionEvery = p.method, p.optimizer, nil
		for _, refresh := range []bool{false, true} {
			if one := 1; refresh {
				spec.Optimizer.ProjectionEvery = &one
			}
			r, err := flags.ShapeRecipe(spec)
			if err != nil {
				return nil, nil, err
			}
			stages, err := newMethodRunners(r, dev, p.optimizer, refresh)
			if err != nil {
				return nil, nil, err
			}
			list = append(list, stages...)
			classes, err := trainer.Classes(r, dev.Limits())
			if err != nil {
				return nil, nil, err
			}
			maps.Copy(work, classes)
			if _, again := r.Optimizer.Settings.(refreshing); !again {
				break
			}
		}
	}
	return list, work, nil
}

// refreshing are settings of an optimizer that finds a projection in some updates alone.
type refreshing interface{ RefreshEvery() int }

// newMethodRunners are a run's stages but for those that only repeat the one before, as ReLoRA's after merges.
func newMethodRunners(r recipe.Recipe, dev gpu.Device, optimizer string, refresh bool) (list []*methodRunner,
	err error) {
	layouts, err := r.Layouts()
	if err != nil {
		return nil, err
	}
	for i, l := range layouts {
		if i > 0 && reflect.DeepEqual(l, layouts[i-1]) {
			continue
		}
		x := &methodRunner{recipe: trainable(r), stage: i, refresh: refresh, methodRow: methodRow{Method: r.Method,
			Optimizer: optimizer, Stage: i + 1, Layers: len(l.Blocks), Bytes: gpu.Plan(dev.Own(), r.Specs(l)).Total()}}
		if s, ok := r.Optimizer.Settings.(refreshing); ok {
			x.Every = s.RefreshEvery()
		}
		list = append(list, x)
	}
	return list, nil
}

func (x *methodRunner) begin(ctx context.Context, dev gpu.Device) (err error) {
	batches := synthetic.New(x.recipe.Batch, x.recipe.Model.Vocab, 1)
	if x.trainer, err = trainer.NewAt(dev, x.recipe, batches, x.stage); err != nil {
		return err
	}
	x.step = &timed{once: func() (spent, error) {
		read := stopwatch()
		_, err := x.trainer.Step(ctx)
		return read(), err
	}}
	return nil
}

// rowsOf sums up what was timed: of a projection's refresh the share that falls to each step.
func rowsOf(list []*methodRunner, cpu bool) (rows []methodRow) {
	first := list[0].step
	for _, x := range list {
		ratio := overTurns(x.step.wall, first.wall)
		x.Seconds, x.Ratio = x.step.median(), ratio
		if cpu {
			x.CPURatio = overTurns(x.step.cpu, first.cpu)
			ratio = x.CPURatio
		}
		if x.refresh {
			row := &rows[len(rows)-1]
			row.Refresh = ratio
			row.Amortized += (ratio - row.Amortized) / float64(row.Every)
			continue
		}
		x.Amortized = ratio
		rows = append(rows, x.methodRow)
	}
	return rows
}

func (b methodsBench) print(w io.Writer) {
	c := b.Model
	fmt.Fprintf(w, "steps of %d x %d tokens, %d micro-batches; hidden %d, FFN %d, %d layers, vocabulary %d; on %s\n",
		b.Batch.Batch, b.Batch.SeqLen, b.Accum, c.Hidden, c.FFN, c.Layers, c.Vocab, b.Device)
	table := [][]string{{"", "optimizer", "layers", "planned", "s/step", "of vanilla", "CPU time", "with a refresh",
		"every", "amortized"}}
	for _, r := range b.Rows {
		row := []string{r.Method, r.Optimizer, fmt.Sprint(r.Layers), gpu.Bytes(r.Bytes), view.Figure(r.Seconds),
			fmt.Sprintf("%.2f", r.Ratio), "-", "-", "-", fmt.Sprintf("%.2f", r.Amortized)}
		if r.Stage > 1 {
			row[0] = fmt.Sprintf("%s: %d", r.Method, r.Stage)
		}
		if r.CPURatio > 0 {
			row[6] = fmt.Sprintf("%.2f", r.CPURatio)
		}
		if r.Refresh > 0 {
			row[7], row[8] = fmt.Sprintf("%.2f", r.Refresh), fmt.Sprint(r.Every)
		}
		table = append(table, row)
	}
	view.Table(w, 2, table)
	fmt.Fprintln(w, "each of a turn's steps over the turn's step of vanilla with adamw, the median over the turns; "+
		"amortized: of a projection's refresh each step has its share")
}
