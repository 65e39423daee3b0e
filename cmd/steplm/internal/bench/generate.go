package bench

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"steplm/cmd/steplm/internal/devices"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/generate"
	"steplm/wgsl"
)

// benchGenerateCmd times what generating is made of: reading prompts, and adding tokens.
type benchGenerateCmd struct {
	Model     string `default:"15m" placeholder:"PRESET" help:"Preset: tiny, 15m, 60m, 130m, 368m, 680m or 1.2b, with random weights. Default: ${default}."`
	Precision string `default:"bf16" enum:"bf16,f32" help:"Storage: ${enum}; computing is in f32. Default: ${default}."`
	Batch     []int  `default:"1,8" placeholder:"N" help:"Texts at once; several with commas. Default: ${default}."`
	Context   int    `default:"128" placeholder:"N" range:"1..65535" help:"Tokens that a text has when one is added. Default: ${default}."`
	Chunk     int    `default:"128" placeholder:"N" range:"1..65536" help:"Tokens of prompts that are read at once. Default: ${default}."`
	Steps     int    `default:"5" placeholder:"N" range:"1..1e6" help:"Timings of each. Default: ${default}."`
	flags.DeviceFlag
	devices.TuneFlags
	JSON bool `help:"Print JSON."`
}

// generateBench is what was measured.
type generateBench struct {
	Device    string            `json:"device"`
	Model     model.Config      `json:"model"`
	Precision string            `json:"precision"`
	Context   int               `json:"context"`
	Bytes     int64             `json:"planned_bytes"`           // on the device, weights too
	CacheByte int64             `json:"cache_bytes_per_token"`   // of the keys and values
	Bandwidth float64           `json:"bandwidth_gb_per_second"` // of a large copy, between the passes
	Peak      float64           `json:"peak_gflops,omitempty"`   // of the products at their best, likewise
	Prefill   passBench         `json:"prefill"`                 // of one prompt's chunk
	Decode    []passBench       `json:"decode"`                  // a token of each text
	Variant   map[string]string `json:"variant,omitempty"`       // that ran, by class of kernels
}

// passBench is a pass over rows, with the logits of those that a token follows on.
type passBench struct {
	Rows    int     `json:"rows"`
	Seconds float64 `json:"seconds"` // median
	Spread  float64 `json:"spread"`
	Tokens  float64 `json:"tokens_per_second"`
	GFLOPS  float64 `json:"gflops"`
	MFU     float64 `json:"mfu,omitempty"` // of Peak
	// What must be read and written at least: weights once, keys and values of each text.
	GBPerSecond float64 `json:"gb_per_second"`
	Share       float64 `json:"of_bandwidth"`
	flops       float64
	bytes       float64
}

func (c *benchGenerateCmd) Run(ctx context.Context) error {
	config, err := model.Preset(c.Model)
	if err != nil {
		return flags.Usagef("--model: %w", err)
	}
	if len(c.Batch) == 0 || slices.Min(c.Batch) < 1 {
		return flags.Usagef("--batch %v: it must be 1 or more", c.Batch)
	}
	if most := config.MaxSeqLen; max(c.Context, c.Chunk) > most {
		return flags.Usagef("--context %d, --chunk %d: the model has %d positions", c.Context, c.Chunk, most)
	}
	return measured(c.DeviceFlag, c.JSON, func(dev gpu.Device) (generateBench, error) {
		return c.measure(ctx, dev, config)
	})
}

// layout is the model's, for inference.
func (c *benchGenerateCmd) layout(config model.Config) model.Layout {
	l := model.Plain(config, config.Layers).ForInference()
	if c.Precision == model.BF16 {
		l.Storage = model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16,
			Frozen: model.BF16}
	}
	return l
}

func (c *benchGenerateCmd) measure(ctx context.Context, dev gpu.Device, config model.Config) (b generateBench,
	err error) {
	l := c.layout(config)
	b = generateBench{Device: dev.Name(), Model: config, Precision: c.Precision, Context: c.Context}
	slots := slices.Max(c.Batch)
	size, err := generate.Config{Slots: slots, Context: max(c.Context, c.Chunk), Chunk: c.Chunk}.Resolve(l)
	if err != nil {
		return b, err
	}
	work := map[string]float64{}
	for _, n := range c.Batch { // As if for long, so that what is timed is tuned.
		size := size
		size.Slots = n
		classes, err := generate.Classes(l, size, dev.Limits(), 1e9, 1e9)
		if err != nil {
			return b, err
		}
		maps.Copy(work, classes)
	}
	if _, err := c.TuneFlags.Tune(ctx, dev, work, c.Precision, c.JSON); err != nil {
		return b, err
	}
	rowsSize := model.RowsSize{Most: max(slots, c.Chunk), Logits: slots, Context: size.Context}
	rowSpecs, err := model.RowsSpecs(l, rowsSize)
	if err != nil {
		return b, err
	}
	cacheSpecs := model.CacheSpecs(l, size.Positions)
	plan := gpu.Plan(dev.Own(), l.Specs(), rowSpecs, cacheSpecs)
	if err := gpu.CheckFits(dev, plan); err != nil {
		return b, err
	}
	b.Bytes, b.CacheByte = plan.Total(), plan.Live(gpu.Cache)/int64(size.Positions)
	m, err := model.New(dev, l)
	if err != nil {
		return b, err
	}
	defer m.Free()
	if err := m.Init(1, nil); err != nil {
		return b, err
	}
	cache, err := model.NewCache(dev, l, size.Positions)
	if err != nil {
		return b, err
	}
	defer cache.Free()
	rows, err := model.NewRows(dev, l, cache, rowsSize)
	if err != nil {
		return b, err
	}
	defer rows.Free()
	if err := c.time(ctx, dev, m, rows, plan, &b); err != nil {
		return b, err
	}
	b.Variant = variants(dev, work)
	return b, nil
}

// time takes turns with the passes, a large copy and the device's best product.
func (c *benchGenerateCmd) time(ctx context.Context, dev gpu.Device, m *model.Model, rows *model.Rows, plan *gpu.Ledger,
	b *generateBench) error {
	weights := float64(plan.Live(gpu.Weights))
	if !m.Tied { // of the embedding a few rows are read
		weights -= float64(m.Embed.Weight.Bytes())
	}
	kept := float64(b.CacheByte)
	one := m.FLOPs(model.Size{Batch: 1, SeqLen: 1})
	pass := func(n int, decode bool, list []model.Row, picked []int) (passBench, *timed) {
		return passBench{Rows: n}, &timed{once: func() (spent, error) {
			read := stopwatch()
			_, err := m.Run(rows, list, decode, picked)
			return read(), err
		}}
	}
	var list []*timed
	var passes []passBench
	prompt := make([]model.Row, c.Chunk)
	for i := range prompt {
		prompt[i] = model.Row{ID: uint32(i % m.Vocab), Position: i}
	}
	x, t := pass(c.Chunk, false, prompt, []int{c.Chunk - 1})
	all := m.FLOPs(model.Size{Batch: 1, SeqLen: c.Chunk})
	x.flops, x.bytes = all.Forward-all.Head+one.Head, weights+kept*float64(c.Chunk)
	list, passes = append(list, t), append(passes, x)
	for _, n := range c.Batch {
		var texts []model.Row
		var picked []int
		for i := range n {
			texts = append(texts, model.Row{ID: uint32(i % m.Vocab), Position: c.Context - 1, First: i * rows.Context})
			picked = append(picked, i)
		}
		x, t := pass(n, true, texts, picked)
		longer := m.FLOPs(model.Size{Batch: 1, SeqLen: c.Context}).Attention - m.FLOPs(model.Size{Batch: 1,
			SeqLen: max(1, c.Context-1)}).Attention
		x.flops, x.bytes = float64(n)*(one.Forward+longer), weights+kept*float64(n*c.Context)
		list, passes = append(list, t), append(passes, x)
	}
	copied, bytes, free, err := timedCopy(dev)
	if err != nil {
		return err
	}
	defer free()
	list = append(list, copied)
	if gpu.Tunable(dev) {
		best, free, err := timedPeak(dev, c.Precision)
		if err != nil {
			return err
		}
		defer free()
		list = append(list, best)
	}
	if err := takeTurns(ctx, list, c.Steps, view.ProgressOutput(c.JSON), "passes"); err != nil {
		return err
	}
	b.Bandwidth = bytes / copied.median() / 1e9
	if gpu.Tunable(dev) {
		b.Peak = peakFLOPs / list[len(list)-1].median() / 1e9
	}
	for i := range passes {
		x, t := &passes[i], list[i]
		x.Seconds, x.Spread = t.median(), t.spread()
		x.Tokens, x.GFLOPS = float64(x.Rows)/x.Seconds, x.flops/x.Seconds/1e9
		x.GBPerSecond = x.bytes / x.Seconds / 1e9
		x.MFU, x.Share = view.Ratio(x.GFLOPS, b.Peak), view.Ratio(x.GBPerSecond, b.Bandwidth)
	}
	b.Prefill, b.Decode = passes[0], passes[1:]
	return nil
}

// copyBytes is what a large copy reads, and again what it writes, where the device binds as much.
const copyBytes = 64 << 20

// timedCopy is a copy that caches do not hold, and the bytes that it moves.
func timedCopy(dev gpu.Device) (t *timed, bytes float64, free func(), err error) {
	n := int(math.Min(copyBytes, float64(dev.Limits().Binding))) / 4 / 1024
	var made []gpu.Tensor
	free = func() {
		for _, x := range made {
			dev.Free(x)
		}
	}
	for _, name := range []string{"copy.out", "copy.in"} {
		x, err := dev.New(gpu.Spec{Name: name, Class: gpu.Scratch, Shape: []int{n, 1024}})
		if err != nil {
			free()
			return nil, 0, nil, err
		}
		made = append(made, x)
	}
	return timedPass(dev, made[0], func(p *gpu.Pass) { wgsl.Widen(p, made[0], made[1]) }), float64(2 * made[0].Bytes()),
		free, nil
}

func (b generateBench) print(w io.Writer) {
	c := b.Model
	fmt.Fprintf(w, "hidden %d, FFN %d, %d layers, vocabulary %d, %s: %s, and %s for each token of a text; on %s\n",
		c.Hidden, c.FFN, c.Layers, c.Vocab, b.Precision, gpu.Bytes(b.Bytes), gpu.Bytes(b.CacheByte), b.Device)
	fmt.Fprintf(w, "a large copy, between the passes: %s GB/s", view.Figure(b.Bandwidth))
	if b.Peak > 0 {
		fmt.Fprintf(w, "; the device's best product: %s GFLOP/s", view.Figure(b.Peak))
	}
	fmt.Fprintln(w)
	rows := [][]string{{"", "rows", "ms", "spread", "tokens/s", "GFLOP/s", "MFU", "GB/s", "of a copy's"}}
	row := func(name string, x passBench) {
		rows = append(rows, []string{name, fmt.Sprint(x.Rows), view.Figure(1e3 * x.Seconds), view.PerCent(x.Spread),
			view.Figure(x.Tokens), view.Figure(x.GFLOPS), view.PerCent(x.MFU), view.Figure(x.GBPerSecond),
			view.PerCent(x.Share)})
	}
	row("a prompt is read", b.Prefill)
	for _, x := range b.Decode {
		row(fmt.Sprintf("tokens are added to %s", view.Plural(int64(x.Rows), "text", "texts")), x)
	}
	view.Table(w, 1, rows)
}
