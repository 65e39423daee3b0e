package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"steplm/cmd/steplm/internal/devices"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/model"
	"steplm/wgsl"
	"steplm/wgsl/matmul"
	"steplm/wgsl/tune"
)

// benchMatmulCmd times one product.
type benchMatmulCmd struct {
	M         int     `default:"1024" placeholder:"N" help:"Rows of the result. Default: ${default}."`
	N         int     `default:"1024" placeholder:"N" help:"Its columns. Default: ${default}."`
	K         int     `default:"1024" placeholder:"N" help:"What is summed over. Default: ${default}."`
	Transpose string  `default:"nt" enum:"nn,nt,tn" help:"Operands as they lie in memory, n or t (transposed) each: nt is forward, nn the input's gradient, tn the weight's. Default: ${default}."`
	Precision string  `default:"f32" enum:"bf16,f32" help:"Operands and result: ${enum}. Sums are f32. Default: ${default}."`
	Variant   string  `xor:"which" placeholder:"NAME" help:"The variant to time, besides the device's choice. Default: the choice alone."`
	All       bool    `xor:"which" help:"Time every variant."`
	Seconds   float64 `default:"2" placeholder:"S" help:"Seconds for all timings. Default: ${default}."`
	flags.DeviceFlag
	devices.TuneFlags
	JSON bool `help:"Print JSON."`
}

// matmulBench is one product's measurement.
type matmulBench struct {
	Device       string      `json:"device"`
	Transpose    string      `json:"transpose"`
	Precision    string      `json:"precision"`
	M            int         `json:"m"`
	N            int         `json:"n"`
	K            int         `json:"k"`
	Variant      string      `json:"variant"` // the one asked for, or the device's choice
	GFLOPS       float64     `json:"gflops"`
	GBPerSecond  float64     `json:"gb_per_second"` // operands read once and the result written once
	Seconds      float64     `json:"seconds"`
	Chosen       string      `json:"chosen"` // what the device runs in training
	ChosenGFLOPS float64     `json:"chosen_gflops"`
	Variants     []tune.Rate `json:"variants"` // all that were timed, best first
	Excluded     []string    `json:"excluded,omitempty"`
	Peak         float64     `json:"peak_gflops,omitempty"` // of the products at their best
	PeakShare    float64     `json:"share_of_peak,omitempty"`
}

// only is a class with some of its variants.
type only struct {
	wgsl.Class
	list []string
}

func (o only) Variants(gpu.Limits) []string { return o.list }

func (c *benchMatmulCmd) Run(ctx context.Context) error {
	return measured(c.DeviceFlag, c.JSON, func(dev gpu.Device) (matmulBench, error) { return c.measure(ctx, dev) })
}

// whole are the limits of a device of which one submission takes any product: a class by
// them has its shape uncut.
func whole(l gpu.Limits) gpu.Limits {
	l.Budget = math.Inf(1)
	return l
}

// chosen is the variant that a device runs for products of an uncut class.
func chosen(dev gpu.Device, c wgsl.Class) string {
	cut := wgsl.Cut(c, dev.Limits())
	if v := dev.Choices().Chosen(cut.String()); v != "" {
		return v
	}
	return cut.Variants(dev.Limits())[0]
}

// measure times the product. Every variant's result is checked against the default's before
// its time is believed.
func (c *benchMatmulCmd) measure(ctx context.Context, dev gpu.Device) (matmulBench, error) {
	b := matmulBench{Device: dev.Name(), Transpose: c.Transpose, Precision: c.Precision, M: c.M, N: c.N, K: c.K}
	if !(c.Seconds > 0) || c.Seconds > 3600 {
		return b, flags.Usagef("--seconds %g: it must be above 0 and at most 3600", c.Seconds)
	}
	t, l := devices.Types(c.Precision), dev.Limits()
	class, err := matmul.NewClass(c.Transpose, t, t, t, c.M, c.N, c.K, whole(l))
	if err != nil {
		return b, flags.UsageError{Err: err}
	}
	cut := wgsl.Cut(class, l)
	// As if a long run spent all its time in it.
	peak, err := c.TuneFlags.Tune(ctx, dev, map[string]float64{cut.String(): math.Inf(1)}, c.Precision, c.JSON)
	if err != nil {
		return b, err
	}
	all := cut.Variants(l)
	b.Chosen = chosen(dev, class)
	list := []string{all[0]}
	switch {
	case c.All:
		list = all
	case c.Variant != "":
		if !slices.Contains(all, c.Variant) {
			return b, flags.Usagef("--variant %s: for %s this device has %s", c.Variant, class, strings.Join(all, ", "))
		}
		if c.Variant != all[0] {
			list = append(list, c.Variant)
		}
	}
	if !slices.Contains(list, b.Chosen) {
		list = append(list, b.Chosen)
	}
	r, err := tune.Class(ctx, dev, only{class, list},
		tune.Options{Budget: time.Duration(c.Seconds * float64(time.Second))})
	if err != nil {
		return b, err
	}
	b.Variants, b.Excluded = r.Rates, r.Excluded
	b.Variant = cmp.Or(c.Variant, b.Chosen)
	b.GFLOPS, b.ChosenGFLOPS = b.rate(b.Variant), b.rate(b.Chosen)
	if b.GFLOPS == 0 {
		why := strings.Join(b.Excluded, "; ")
		if why == "" {
			why = fmt.Sprintf("compiling the others took more than ten times --seconds %g; give more", c.Seconds)
		}
		return b, fmt.Errorf("variant %s of %s cannot be timed: %s", b.Variant, class, why)
	}
	flops := 2 * float64(c.M) * float64(c.N) * float64(c.K)
	b.Seconds = flops / b.GFLOPS / 1e9
	size := map[string]float64{model.F32: 4, model.BF16: 2}[c.Precision]
	b.GBPerSecond = size * (float64(c.M)*float64(c.K) + float64(c.K)*float64(c.N) +
		float64(c.M)*float64(c.N)) / b.Seconds / 1e9
	b.Peak = peak / 1e9
	b.PeakShare = view.Ratio(b.GFLOPS, b.Peak)
	return b, nil
}

// rate is a variant's, 0 where it was not timed.
func (b matmulBench) rate(variant string) float64 {
	for _, r := range b.Variants {
		if r.Variant == variant {
			return r.GFLOPS
		}
	}
	return 0
}

func (b matmulBench) name() string {
	return fmt.Sprintf("%s %s %d x %d x %d", b.Transpose, b.Precision, b.M, b.N, b.K)
}

func (b matmulBench) print(w io.Writer) {
	fmt.Fprintf(w, "%s on %s: %s GFLOP/s, %s GB/s, %s ms, %s of the products' best (%s)\n", b.name(), b.Device,
		view.Figure(b.GFLOPS), view.Figure(b.GBPerSecond), view.Figure(1e3*b.Seconds), view.PerCent(view.Ratio(b.GFLOPS,
			b.Peak)), b.Variant)
	rows := [][]string{{"variant", "GFLOP/s", "of the best", ""}}
	for _, r := range b.Variants {
		note := ""
		if r.Variant == b.Chosen {
			note = "the device's choice"
		}
		rows = append(rows, []string{r.Variant, view.Figure(r.GFLOPS),
			view.PerCent(view.Ratio(r.GFLOPS, b.Variants[0].GFLOPS)), note})
	}
	view.Table(w, 1, rows)
	for _, why := range b.Excluded {
		fmt.Fprintf(w, "left out: %s\n", why)
	}
}
