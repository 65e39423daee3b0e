package bench

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"steplm/cmd/steplm/internal/devices"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/model"
	"steplm/stage/session"
	"steplm/stage/trainer"
	"steplm/wgsl"
	"steplm/wgsl/matmul"
)

// benchAllCmd is the benchmark set: what docs/benchmarks.md records.
type benchAllCmd struct {
	Skip  []string `enum:"matmul,shapes,attention,step,stages,readme" placeholder:"PART" help:"Parts to leave out: ${enum}; several with commas."`
	Steps int      `default:"3" placeholder:"N" help:"Timed steps, and turns of everything else. Default: ${default}."`
	flags.DeviceFlag
	devices.TuneFlags
	JSON bool `help:"Print JSON: the claims."`
}

// claim is a ratio that was measured, and what it should be.
type claim struct {
	What  string  `json:"what"`
	Asked string  `json:"asked"`
	Time  float64 `json:"got"`
	CPU   float64 `json:"got_by_cpu_time,omitempty"` // on devices that compute in the process
}

func (c *benchAllCmd) Run(ctx context.Context) error {
	if c.Steps < 1 {
		return flags.Usagef("--steps %d: it must be 1 or more", c.Steps)
	}
	dev, err := c.Open()
	if err != nil {
		return err
	}
	defer dev.Close()
	if !gpu.Tunable(dev) {
		return fmt.Errorf("%s is no device to measure: choose one that `steplm devices` lists", dev.Name())
	}
	var w io.Writer = os.Stdout
	if c.JSON {
		w = io.Discard
	}
	var claims []claim
	for _, part := range []struct {
		name string
		run  func(context.Context, io.Writer, gpu.Device) ([]claim, error)
	}{{"matmul", c.matmul}, {"shapes", c.shapes}, {"attention", c.attention}, {"step", c.step}, {"stages",
		c.stages}, {"readme", c.readme}} {
		if slices.Contains(c.Skip, part.name) {
			continue
		}
		fmt.Fprintf(w, "\n== %s\n", part.name)
		list, err := part.run(ctx, w, dev)
		if err != nil {
			return err
		}
		claims = append(claims, list...)
	}
	if c.JSON {
		return view.JSON(map[string]any{"device": dev.Name(), "claims": claims})
	}
	fmt.Fprintf(w, "\n== ratios on %s\n", dev.Name())
	rows := [][]string{{"", "asked", "by the clock", "by CPU time"}}
	for _, x := range claims {
		rows = append(rows, []string{x.What, x.Asked, view.Figure(x.Time), view.Figure(x.CPU)})
	}
	view.Table(w, 2, rows)
	return nil
}

// firstTile is the kernel that products on CPUs are compared with, the fastest of
// the first version; elsewhere it is the default.
const firstTile = "16x16_8x1_by2"

// matmul compares the device's choices at 1024 x 1024 x 1024, f32 and bf16, with the
// baseline in f32, in turns.
func (c *benchAllCmd) matmul(ctx context.Context, w io.Writer, dev gpu.Device) (claims []claim, err error) {
	rows := [][]string{{"1024 x 1024 x 1024", "variant", "GFLOP/s", "of the baseline", "by CPU time"}}
	for _, transpose := range []string{"nn", "nt", "tn"} {
		var list []*timed
		var names [3]string
		for i, precision := range []string{model.F32, model.F32, model.BF16} {
			t := devices.Types(precision)
			class, err := matmul.NewClass(transpose, t, t, t, 1024, 1024, 1024, whole(dev.Limits()))
			if err != nil {
				return nil, err
			}
			cut := wgsl.Cut(class, dev.Limits())
			if _, err := c.TuneFlags.Tune(ctx, dev, map[string]float64{cut.String(): math.Inf(1)}, precision,
				c.JSON); err != nil {
				return nil, err
			}
			names[i] = chosen(dev, class)
			if i == 0 {
				names[i] = firstTile
				if !dev.Limits().CPU {
					names[i] = cut.Variants(dev.Limits())[0]
				}
			}
			x, free, err := timedTrial(dev, class, names[i])
			if err != nil {
				return nil, err
			}
			defer free()
			list = append(list, x)
		}
		if err := takeTurns(ctx, list, c.Steps, view.ProgressOutput(c.JSON), transpose); err != nil {
			return nil, err
		}
		for i, x := range list {
			what := transpose + " " + []string{"f32, baseline", "f32", "bf16"}[i]
			got := claim{What: what + " at 1024^3 of the baseline", Asked: []string{"", ">= 1", ">= 1.2"}[i],
				Time: overTurns(list[0].wall, x.wall)}
			if dev.Limits().CPU {
				got.CPU = overTurns(list[0].cpu, x.cpu)
			}
			rows = append(rows, []string{what, names[i], view.Figure(2 * 1024 * 1024 * 1024 / x.median() / 1e9),
				view.Figure(got.Time), view.Figure(got.CPU)})
			if i > 0 {
				claims = append(claims, got)
			}
		}
	}
	view.Table(w, 2, rows)
	return claims, nil
}

// shapes compares the tuner's choice with every variant, for the products of the 60m
// preset at 512 rows.
func (c *benchAllCmd) shapes(ctx context.Context, w io.Writer, dev gpu.Device) ([]claim, error) {
	r, err := flags.ShapeRecipe(benchSpec("60m", baseline, 2))
	if err != nil {
		return nil, err
	}
	work, err := trainer.Classes(r, dev.Limits())
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(work, func(class string, _ float64) bool { return !strings.HasPrefix(class, "matmul") })
	if _, err := c.TuneFlags.Tune(ctx, dev, work, r.Storage.Precision, c.JSON); err != nil {
		return nil, err
	}
	worst := claim{What: "tuner's choice of the best variant, worst shape of 60m at 512 rows", Asked: ">= 0.9",
		Time: math.Inf(1)}
	rows := [][]string{{"class", "chosen", "GFLOP/s", "best", "chosen / best", "by CPU time"}}
	for _, word := range slices.Sorted(maps.Keys(work)) {
		class, err := wgsl.ParseClass(word)
		if err != nil {
			return nil, err
		}
		row, got, err := c.shape(ctx, dev, class)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
		worst.Time = min(worst.Time, got.Time)
		if got.CPU > 0 && (worst.CPU == 0 || got.CPU < worst.CPU) {
			worst.CPU = got.CPU
		}
	}
	view.Table(w, 2, rows)
	return []claim{worst}, nil
}

// shape times all variants of a class in turns, each beside the chosen one.
func (c *benchAllCmd) shape(ctx context.Context, dev gpu.Device, class wgsl.Class) (row []string, got claim,
	err error) {
	trial, err := class.Trial(dev)
	if err != nil {
		return nil, got, err
	}
	defer trial.Free()
	choice := chosen(dev, class)
	of := func(variant string) *timed {
		return timedPass(dev, trial.Outputs[0], func(p *gpu.Pass) { trial.Run(p, variant) })
	}
	others := slices.DeleteFunc(class.Variants(dev.Limits()), func(v string) bool { return v == choice })
	list := []*timed{of(choice)}
	for _, v := range others {
		list = append(list, of(v), of(choice))
	}
	if err := takeTurns(ctx, list, c.Steps, view.ProgressOutput(c.JSON), class.String()); err != nil {
		return nil, got, err
	}
	best, cpu := choice, 1.0
	got.Time = 1
	for i, v := range others {
		x, beside := list[1+2*i], list[2+2*i]
		if r := overTurns(x.wall, beside.wall); r < got.Time {
			best, got.Time = v, r
		}
		cpu = min(cpu, overTurns(x.cpu, beside.cpu))
	}
	if dev.Limits().CPU {
		got.CPU = cpu
	}
	return []string{class.String(), choice, view.Figure(trial.Work / list[0].median() / 1e9), best,
		view.Figure(got.Time), view.Figure(got.CPU)}, got, nil
}

func (c *benchAllCmd) attention(ctx context.Context, w io.Writer, dev gpu.Device) (claims []claim, err error) {
	for _, a := range []benchAttentionCmd{{Batch: 8, Heads: 8, SeqLen: 256}, {Batch: 2, Heads: 12, SeqLen: 1024}} {
		a.HeadSize, a.Precision, a.Steps, a.TuneFlags, a.JSON = 64, model.BF16, c.Steps, c.TuneFlags, c.JSON
		fmt.Fprintf(w, "\n$ steplm bench attention --batch %d --heads %d --seq-len %d\n", a.Batch, a.Heads, a.SeqLen)
		b, err := a.measure(ctx, dev)
		if err != nil {
			return nil, err
		}
		b.print(w)
		claims = append(claims, claim{"attention " + b.name() + ": backward / forward", "<= 4.5", b.Ratio, b.CPURatio})
	}
	return claims, nil
}

// benchSpec is a run of a preset, to be timed.
func benchSpec(preset, method string, batch int) session.Spec {
	spec := session.Default()
	spec.Model.Name, spec.Method.Name, spec.Schedule.BatchSize = preset, method, batch
	return spec
}

// steps runs a `bench step`.
func (c *benchAllCmd) steps(ctx context.Context, w io.Writer, dev gpu.Device, spec session.Spec) (stepBench, error) {
	r, beside, err := stepRecipes(spec)
	if err != nil {
		return stepBench{}, err
	}
	b, err := measureSteps(ctx, dev, r, beside, c.Steps, c.TuneFlags, c.JSON)
	if err == nil {
		fmt.Fprintf(w, "\n%s: ", r.Method)
		b.print(w)
	}
	return b, err
}

// batchSize is how many windows a step has: few where it would take minutes.
func batchSize(dev gpu.Device, cpu int) int {
	if dev.Limits().CPU {
		return cpu
	}
	return 8
}

func (c *benchAllCmd) step(ctx context.Context, w io.Writer, dev gpu.Device) ([]claim, error) {
	b, err := c.steps(ctx, w, dev, benchSpec("15m", baseline, batchSize(dev, 4)))
	if err != nil {
		return nil, err
	}
	k := b.Stages[0].Products
	return []claim{{"15m step: matmuls alone / step", ">= 0.7", k.Share, k.CPUShare}}, nil
}

func (c *benchAllCmd) stages(ctx context.Context, w io.Writer, dev gpu.Device) ([]claim, error) {
	b, err := c.steps(ctx, w, dev, benchSpec("130m", session.Default().Method.Name, batchSize(dev, 1)))
	return b.claims("130m"), err
}

// readmeSpec is the run of README's table.
func readmeSpec() session.Spec {
	spec := session.Default()
	number := func(n int) *int { return &n }
	tied := true
	spec.Model = session.Model{
		Hidden: number(96), FFN: number(336), Layers: number(8), Heads: number(4), Vocab: number(
			4096), Tied: &tied, MaxSeqLen: number(128), SeqLen: number(128),
	}
	spec.Method.Rank = number(8)
	return spec
}

func (c *benchAllCmd) readme(ctx context.Context, w io.Writer, dev gpu.Device) ([]claim, error) {
	b, err := c.steps(ctx, w, dev, readmeSpec())
	return b.claims("README's model"), err
}

// claims compare stages with vanilla.
func (b stepBench) claims(name string) (list []claim) {
	for _, s := range b.Stages {
		if s.TimeRatio > 0 {
			list = append(list, claim{fmt.Sprintf("%s, %s: time / operations, both of vanilla's", name, s.Name),
				"0.9 to 1.1", s.TimeRatio / s.FLOPRatio, s.CPURatio / s.FLOPRatio})
		}
	}
	return list
}
