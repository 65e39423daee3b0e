package bench

import (
	"context"
	"fmt"
	"io"
	"maps"

	"steplm/cmd/steplm/internal/devices"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/data"
	"steplm/gpu"
	"steplm/stage/recipe"
	"steplm/stage/session"
	"steplm/stage/trainer"
)

// benchTuningCmd times the steps of tuning with packed windows beside those with padded ones.
type benchTuningCmd struct {
	Model     string   `required:"" placeholder:"MODEL" help:"The model whose shape and tokenizer are taken, as sft takes it. Its weights are not."`
	Data      []string `required:"" sep:"none" placeholder:"PATH" help:"Examples, as sft takes them."`
	Tokenizer string   `placeholder:"PATH" help:"tokenizer.json, a SentencePiece .model, or a directory with one or with vocab.json and merges.txt. Default: the model's."`
	LoRA      bool     `name:"lora" help:"Train LoRA alone."`
	SeqLen    *int     `name:"seq-len" placeholder:"N" range:"1..1e8" help:"Positions per window. Default: 512, or the model's maximum if that is less."`
	MaxSeqLen *int     `name:"max-seq-len" placeholder:"N" range:"1..1e8" help:"Most positions that the model may be given. Default: the model's."`
	Examples  int      `default:"0" range:"0..1e9" placeholder:"N" help:"The first N examples alone. Default: all."`
	BatchSize int      `default:"${batch_size}" range:"1..1e9" placeholder:"N" help:"Windows per micro-batch. Default: ${default}."`
	GradAccum int      `default:"${grad_accum}" range:"1..1e9" placeholder:"N" help:"Micro-batches per step. Default: ${default}."`
	Steps     int      `default:"32" range:"1..1e6" placeholder:"N" help:"Steps of a turn; padded, examples are sorted by length within 32. Default: ${default}."`
	Turns     int      `default:"3" range:"1..1000" placeholder:"N" help:"Turns of each, after one that warms up. Default: ${default}."`
	flags.StorageFlags
	flags.DeviceFlag
	devices.TuneFlags
	JSON bool `help:"Print JSON."`
}

// tuningBench is what both ways were measured to take.
type tuningBench struct {
	Device   string      `json:"device"`
	Examples int         `json:"examples"`
	Epoch    int64       `json:"epoch_tokens"` // of all examples
	Window   int         `json:"seq_len"`      // most positions of a window
	Batch    int         `json:"batch_size"`
	Accum    int         `json:"grad_accum"`
	Steps    int         `json:"steps"` // of a turn
	Turns    int         `json:"turns"`
	Ways     []tuningWay `json:"ways"` // packed, then padded
	// Ratio is the tokens per second of packed windows over those of padded ones, the median over the turns.
	Ratio    float64 `json:"packed_over_padded"`
	CPURatio float64 `json:"packed_over_padded_cpu,omitempty"` // likewise by CPU time, where the device computes there
}

// tuningWay is one way's.
type tuningWay struct {
	Batching string  `json:"batching"`
	Bytes    int64   `json:"planned_bytes"`
	Seconds  float64 `json:"step_seconds"`             // median over the turns of the mean step
	Tokens   float64 `json:"tokens_per_second"`        // of examples, without padding; median, as the next two
	Scored   float64 `json:"scored_tokens_per_second"` // whose loss counts
	Rows     float64 `json:"positions_per_second"`     // with padding
	Padding  float64 `json:"padding"`                  // share of the positions, over all turns
	Epoch    float64 `json:"epoch_seconds"`            // of all examples, at this rate
	Spread   float64 `json:"spread"`                   // slowest less quickest turn, of the median
}

// handedOut counts what a source of batches hands out.
type handedOut struct {
	trainer.Batches
	list []handful
}

// handful is positions, of which tokens of examples, of which such whose loss counts.
type handful struct{ rows, tokens, scored int }

// Next counts a batch.
func (h *handedOut) Next(ctx context.Context) (data.Batch, error) {
	b, err := h.Batches.Next(ctx)
	if err == nil {
		h.list = append(h.list, handful{len(b.Inputs), b.Used(), b.Scored()})
	}
	return b, err
}

// tuningRunner is one way that trains.
type tuningRunner struct {
	tuningWay
	recipe  recipe.Recipe
	specs   []gpu.Spec
	batches *handedOut
	trainer *trainer.Trainer
	block   *timed
	turns   []handful // what was trained on, of each turn; the first warms up
}

// Run is the command.
func (c *benchTuningCmd) Run(ctx context.Context) error {
	return measured(c.DeviceFlag, c.JSON, func(dev gpu.Device) (tuningBench, error) { return c.compare(ctx, dev) })
}

// compare measures both ways on a device.
func (c *benchTuningCmd) compare(ctx context.Context, dev gpu.Device) (b tuningBench, err error) {
	b = tuningBench{Device: dev.Name(), Batch: c.BatchSize, Accum: c.GradAccum, Steps: c.Steps, Turns: c.Turns}
	var list []*tuningRunner
	all, work := [][]gpu.Spec{dev.Own()}, map[string]float64{}
	for _, batching := range []string{session.Packed, session.Padded} {
		x, read, err := c.runner(ctx, dev, batching)
		if err != nil {
			return b, flags.AsUsage(err)
		}
		b.Examples, b.Window, b.Epoch = len(read.Train.Examples), x.recipe.Batch.SeqLen, 0
		for _, e := range read.Train.Examples {
			b.Epoch += int64(len(e.IDs))
		}
		classes, err := trainer.Classes(x.recipe, dev.Limits())
		if err != nil {
			return b, err
		}
		maps.Copy(work, classes)
		list, all = append(list, x), append(all, x.specs)
	}
	if err := gpu.CheckFits(dev, gpu.Plan(all...)); err != nil {
		return b, err
	}
	if _, err := c.Tune(ctx, dev, work, list[0].recipe.Storage.Precision, c.JSON); err != nil {
		return b, err
	}
	if err := c.measure(ctx, dev, list); err != nil {
		return b, err
	}
	b.sum(list, dev.Limits().CPU)
	return b, nil
}

// runner reads the examples as a run would that has its windows one way, and makes the recipe of that run.
func (c *benchTuningCmd) runner(ctx context.Context, dev gpu.Device, batching string) (*tuningRunner, *session.Counted,
	error) {
	spec, err := flags.SpecOver(session.TuningDefault(), c)
	if err != nil {
		return nil, nil, err
	}
	spec.Model.Init, spec.Model.Name = c.Model, ""
	if c.LoRA {
		spec.Method.Name = recipe.LoRAName
	}
	spec.Tuning.Batching = batching
	spec.Schedule.Steps, spec.Schedule.LR = c.Steps*(c.Turns+1), []float64{1e-6}
	read, err := session.CountExamples(ctx, spec, flags.SessionUI(c.JSON))
	if err != nil {
		return nil, nil, err
	}
	x := &tuningRunner{tuningWay: tuningWay{Batching: batching}, batches: &handedOut{}}
	if x.recipe, x.batches.Batches, err = read.Begin(); err != nil {
		return nil, nil, err
	}
	layouts, err := x.recipe.Layouts()
	if err != nil {
		return nil, nil, err
	}
	x.specs = x.recipe.Specs(layouts[0])
	x.Bytes = gpu.Plan(dev.Own(), x.specs).Total()
	return x, read, nil
}

// measure has both ways take turns.
func (c *benchTuningCmd) measure(ctx context.Context, dev gpu.Device, list []*tuningRunner) (err error) {
	defer func() {
		for _, x := range list {
			if x.trainer != nil {
				x.trainer.Free()
			}
		}
	}()
	var blocks []*timed
	for _, x := range list {
		if x.trainer, err = trainer.NewAt(dev, x.recipe, x.batches, 0); err != nil {
			return err
		}
		x.block = &timed{once: func() (spent, error) { return x.train(ctx, c.Steps) }}
		blocks = append(blocks, x.block)
	}
	return takeTurns(ctx, blocks, c.Turns, view.ProgressOutput(c.JSON), "turns")
}

// train is a turn of so many steps.
func (x *tuningRunner) train(ctx context.Context, steps int) (spent, error) {
	read := stopwatch()
	for range steps {
		if _, err := x.trainer.Step(ctx); err != nil {
			return spent{}, err
		}
	}
	s := read()
	var turn handful
	n := steps * x.recipe.GradAccum
	for _, b := range x.batches.list[len(x.turns)*n:][:n] { // What was fetched beyond is of the next turn.
		turn = handful{turn.rows + b.rows, turn.tokens + b.tokens, turn.scored + b.scored}
	}
	x.turns = append(x.turns, turn)
	return s, nil
}

// rates are what each turn had of something in a second.
func (x *tuningRunner) rates(of func(handful) int, seconds []float64) (list []float64) {
	for i, turn := range x.turns[1:] {
		list = append(list, view.Ratio(float64(of(turn)), seconds[i]))
	}
	return list
}

// sum sums up what was timed.
func (b *tuningBench) sum(list []*tuningRunner, cpu bool) {
	tokens := func(h handful) int { return h.tokens }
	for _, x := range list {
		x.Seconds, x.Spread = x.block.median()/float64(b.Steps), x.block.spread()
		x.Tokens = median(x.rates(tokens, x.block.wall))
		x.Scored = median(x.rates(func(h handful) int { return h.scored }, x.block.wall))
		x.Rows = median(x.rates(func(h handful) int { return h.rows }, x.block.wall))
		x.Epoch = view.Ratio(float64(b.Epoch), x.Tokens)
		var all handful
		for _, turn := range x.turns[1:] {
			all.rows, all.tokens = all.rows+turn.rows, all.tokens+turn.tokens
		}
		x.Padding = 1 - float64(all.tokens)/float64(all.rows)
		b.Ways = append(b.Ways, x.tuningWay)
	}
	packed, padded := list[0], list[1]
	b.Ratio = overTurns(packed.rates(tokens, packed.block.wall), padded.rates(tokens, padded.block.wall))
	if cpu {
		b.CPURatio = overTurns(packed.rates(tokens, packed.block.cpu), padded.rates(tokens, padded.block.cpu))
	}
}

func (b tuningBench) print(w io.Writer) {
	fmt.Fprintf(w, "%s, %s tokens an epoch, in windows of at most %d; steps of %d x %d windows, %d turns of %d steps; "+
		"on %s\n", view.Plural(int64(b.Examples), "example", "examples"), view.Count(b.Epoch), b.Window, b.Accum,
		b.Batch, b.Turns, b.Steps, b.Device)
	rows := [][]string{{"", "s/step", "spread", "tokens/s", "scored/s", "positions/s", "padding", "s/epoch", "bytes"}}
	for _, x := range b.Ways {
		rows = append(rows, []string{x.Batching, view.Figure(x.Seconds), view.PerCent(x.Spread), view.Figure(x.Tokens),
			view.Figure(x.Scored), view.Figure(x.Rows), fmt.Sprintf("%.1f %%", 100*x.Padding), view.Figure(x.Epoch),
			gpu.Bytes(x.Bytes)})
	}
	view.Table(w, 1, rows)
	fmt.Fprintf(w, "\ntokens of examples a second, packed over padded: %s", view.Figure(b.Ratio))
	if b.CPURatio > 0 {
		fmt.Fprintf(w, ", by CPU time %s", view.Figure(b.CPURatio))
	}
	fmt.Fprintln(w)
}
