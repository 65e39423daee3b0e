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
	"steplm/wgsl/attention"
)

// benchAttentionCmd times causal attention.
type benchAttentionCmd struct {
	Batch     int    `default:"8" placeholder:"N" help:"Sequences. Default: ${default}."`
	Heads     int    `default:"8" placeholder:"N" help:"Query heads. Default: ${default}."`
	KVHeads   *int   `name:"kv-heads" placeholder:"N" help:"Key-value heads. Default: as many as heads."`
	SeqLen    int    `name:"seq-len" default:"256" placeholder:"N" help:"Positions. Default: ${default}."`
	HeadSize  int    `default:"64" placeholder:"N" help:"Elements of a head. Default: ${default}."`
	Precision string `default:"bf16" enum:"bf16,f32" help:"Storage: ${enum}; computing is in f32. Default: ${default}."`
	Steps     int    `default:"5" placeholder:"N" help:"Timings of each. Default: ${default}."`
	flags.DeviceFlag
	devices.TuneFlags
	JSON bool `help:"Print JSON."`
}

// attentionBench is one shape's measurement.
type attentionBench struct {
	Device    string          `json:"device"`
	Precision string          `json:"precision"`
	Batch     int             `json:"batch"`
	Heads     int             `json:"heads"`
	KVHeads   int             `json:"kv_heads"`
	SeqLen    int             `json:"seq_len"`
	HeadSize  int             `json:"head_size"`
	GFLOPS    float64         `json:"gflops"` // both ways
	Tokens    float64         `json:"tokens_per_second"`
	Forward   attentionTiming `json:"forward"`
	Backward  attentionTiming `json:"backward"`
	Ratio     float64         `json:"backward_to_forward"` // of their seconds
	// of their seconds on CPUs, where the device computes there
	CPURatio float64 `json:"backward_to_forward_cpu,omitempty"`
	// by class of kernels, where there is a choice
	Variant map[string]string `json:"variant,omitempty"`
	Peak    float64           `json:"peak_gflops,omitempty"`
}

type attentionTiming struct {
	Seconds     float64 `json:"seconds"` // median
	GFLOPS      float64 `json:"gflops"`
	GBPerSecond float64 `json:"gb_per_second"` // every tensor read or written once
	Tokens      float64 `json:"tokens_per_second"`
	Spread      float64 `json:"spread"`
}

func (c *benchAttentionCmd) Run(ctx context.Context) error {
	return measured(c.DeviceFlag, c.JSON, func(dev gpu.Device) (attentionBench, error) { return c.measure(ctx, dev) })
}

// attentionTensors are the operands of both directions.
type attentionTensors struct {
	shape                                      attention.Shape
	q, k, v, out, lse, dout, dq, dk, dv, delta gpu.Tensor
	list                                       []gpu.Tensor
}

func newAttentionTensors(d gpu.Device, dtype gpu.DType, s attention.Shape) (*attentionTensors, error) {
	x := &attentionTensors{shape: s}
	rows := []int{s.B * s.T, s.H * s.D}
	keys, stats := []int{s.B * s.T, s.KV * s.D}, []int{s.B, s.H, s.T}
	seed := uint64(1)
	for _, t := range []struct {
		to    *gpu.Tensor
		name  string
		dtype gpu.DType
		shape []int
	}{
		{&x.q, "q", dtype, rows}, {&x.out, "out", dtype, rows}, {&x.dout, "dout", dtype, rows}, {&x.dq, "dq", dtype,
			rows},
		{&x.k, "k", dtype, keys}, {&x.v, "v", dtype, keys}, {&x.dk, "dk", dtype, keys}, {&x.dv, "dv", dtype, keys},
		{&x.lse, "lse", gpu.F32, stats}, {&x.delta, "delta", gpu.F32, stats},
	} {
		spec := gpu.Spec{Name: "bench." + t.name, Class: gpu.Scratch, DType: t.dtype, Shape: t.shape}
		var err error
		if *t.to, err = d.New(spec); err != nil {
			x.free(d)
			return nil, err
		}
		x.list = append(x.list, *t.to)
		values := make([]float32, spec.Elements())
		for i := range values {
			seed = seed*6364136223846793005 + 1442695040888963407
			values[i] = float32(seed>>40)/(1<<24) - 0.5
		}
		if err := gpu.WriteF32(d, *t.to, values); err != nil {
			x.free(d)
			return nil, err
		}
	}
	return x, nil
}

func (x *attentionTensors) free(d gpu.Device) {
	for _, t := range x.list {
		d.Free(t)
	}
}

func (x *attentionTensors) forward(p *gpu.Pass) {
	attention.Forward(p, x.out, x.lse, x.q, x.k, x.v, gpu.Tensor{}, x.shape)
}

func (x *attentionTensors) backward(p *gpu.Pass) {
	attention.BackwardQuery(p, x.dq, x.delta, x.dout, x.out, x.q, x.k, x.v, x.lse, x.shape)
	attention.BackwardKeyValue(p, x.dk, x.dv, x.dout, x.q, x.k, x.v, x.lse, x.delta, x.shape)
}

// validate refuses what cannot be allocated; what no kernel exists for, kernels refuse.
func (c *benchAttentionCmd) validate() (attention.Shape, error) {
	s := attention.Shape{B: c.Batch, T: c.SeqLen, H: c.Heads, KV: c.Heads, D: c.HeadSize}
	if c.KVHeads != nil {
		s.KV = *c.KVHeads
	}
	for _, f := range []struct {
		flag  string
		value int
	}{{"batch", s.B}, {"seq-len", s.T}, {"heads", s.H}, {"kv-heads", s.KV}, {"head-size", s.D}, {"steps", c.Steps}} {
		if f.value < 1 {
			return s, flags.Usagef("--%s %d: it must be 1 or more", f.flag, f.value)
		}
	}
	return s, nil
}

// variants are what the device has run for classes of kernels.
func variants(dev gpu.Device, classes map[string]float64) map[string]string {
	m, used := map[string]string{}, dev.Choices().Used()
	for class := range classes {
		m[class] = used[class].Variant
	}
	return m
}

func (c *benchAttentionCmd) measure(ctx context.Context, dev gpu.Device) (attentionBench, error) {
	s, err := c.validate()
	if err != nil {
		return attentionBench{}, err
	}
	b := attentionBench{Device: dev.Name(), Precision: c.Precision, Batch: s.B, Heads: s.H, KVHeads: s.KV, SeqLen: s.T,
		HeadSize: s.D}
	dtype := devices.Types(c.Precision)
	// What there is a choice for, and whether kernels exist at all.
	dry := gpu.NewDry(dev.Limits())
	x, err := newAttentionTensors(dry, dtype, s)
	if err != nil {
		return b, err
	}
	p := dry.Begin("bench")
	x.forward(p)
	x.backward(p)
	if err := p.End(); err != nil {
		return b, err
	}
	classes := map[string]float64{}
	for class := range dry.Choices().Used() {
		classes[class] = math.Inf(1)
	}
	peak, err := c.TuneFlags.Tune(ctx, dev, classes, c.Precision, c.JSON)
	if err != nil {
		return b, err
	}
	b.Peak = peak / 1e9
	if x, err = newAttentionTensors(dev, dtype, s); err != nil {
		return b, err
	}
	defer x.free(dev)
	forward, backward := timedPass(dev, x.lse, x.forward), timedPass(dev, x.dk, x.backward)
	if err := takeTurns(ctx, []*timed{forward, backward}, c.Steps, view.ProgressOutput(c.JSON),
		"attention"); err != nil {
		return b, err
	}
	b.Variant = variants(dev, classes)
	pairs := float64(s.D) * float64(s.B*s.H) * float64(s.T) * float64(s.T+1) / 2
	// As model.Layout.FLOPs counts: 4 forward, 14 backward.
	b.Forward = x.timing(forward, 4*pairs, x.out, x.lse, x.q, x.k, x.v)
	b.Backward = x.timing(backward, 14*pairs, x.dq, x.dk, x.dv, x.dout, x.out, x.lse, x.q, x.k, x.v)
	both := b.Forward.Seconds + b.Backward.Seconds
	b.GFLOPS, b.Tokens = 18*pairs/both/1e9, float64(s.B*s.T)/both
	b.Ratio = b.Backward.Seconds / b.Forward.Seconds
	if dev.Limits().CPU {
		b.CPURatio = view.Ratio(median(backward.cpu), median(forward.cpu))
	}
	return b, nil
}

// timing is what was timed of so many operations on operands.
func (x *attentionTensors) timing(t *timed, flops float64, operands ...gpu.Tensor) attentionTiming {
	s, bytes := t.median(), int64(0)
	for _, o := range operands {
		bytes += o.Bytes()
	}
	return attentionTiming{Seconds: s, GFLOPS: flops / s / 1e9, GBPerSecond: float64(bytes) / s / 1e9,
		Tokens: float64(x.shape.B*x.shape.T) / s, Spread: t.spread()}
}

func (b attentionBench) name() string {
	return fmt.Sprintf("%s, %d sequences of %d, %d heads (%d key-value) of %d", b.Precision, b.Batch, b.SeqLen, b.Heads,
		b.KVHeads, b.HeadSize)
}

func (b attentionBench) print(w io.Writer) {
	fmt.Fprintf(w, "attention %s on %s: backward takes %s times forward (CPU time: %s)\n", b.name(), b.Device,
		view.Figure(b.Ratio), view.Figure(b.CPURatio))
	rows := [][]string{{"", "ms", "spread", "GFLOP/s", "of the products' best", "GB/s", "tokens/s"}}
	for _, t := range []struct {
		name string
		attentionTiming
	}{{"forward", b.Forward}, {"backward", b.Backward}} {
		rows = append(rows, []string{t.name, view.Figure(1e3 * t.Seconds), view.PerCent(t.Spread),
			view.Figure(t.GFLOPS), view.PerCent(view.Ratio(t.GFLOPS, b.Peak)), view.Figure(t.GBPerSecond), view.Figure(
				t.Tokens)})
	}
	view.Table(w, 1, rows)
	for _, class := range slices.Sorted(maps.Keys(b.Variant)) {
		fmt.Fprintf(w, "%s: %s\n", class, b.Variant[class])
	}
}
