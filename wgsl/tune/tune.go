// Package tune finds out which variants of kernels a device is fastest with.
//
// No one tile is good on every GPU, and nobody has seen all of them: so a class of
// calls is tried on the device itself, once, and what was found is kept in a file of
// the user's, keyed by adapter, driver and kernel text.
//
// What Go cannot enforce, and this package therefore checks on the device: that a
// variant computes the same bits as the one that runs when nothing was chosen. A
// variant that does not is left out, however fast. So the clock, which decides here,
// influences how long a run takes and no number in it.
package tune

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"steplm/gpu"
	"steplm/internal/clock"
	"steplm/wgsl"
)

// Budget is the default time for the trials of a class, but for compiling.
const Budget = 2 * time.Second

// Result is what was found for a class.
type Result struct {
	Class    string   `json:"class"`
	Variant  string   `json:"variant"`
	GFLOPS   float64  `json:"gflops"`             // of the variant
	Default  float64  `json:"default_gflops"`     // of the one that runs when nothing was chosen
	Tried    int      `json:"tried"`              // variants timed
	Excluded []string `json:"excluded,omitempty"` // variants with other bits, or errors
	Rates    []Rate   `json:"-"`                  // of all that were timed, best first
}

// Rate is a variant's.
type Rate struct {
	Variant string  `json:"variant"`
	GFLOPS  float64 `json:"gflops"`
	// ratios are its times over those of the default that ran just before: what else the
	// machine does, and its clock, change by more than variants differ.
	ratios []float64
}

// Options bound the trials of one class.
type Options struct {
	Budget time.Duration // 0: Budget
	// Compiles, unless nil, is asked before a kernel is compiled in this process,
	// which a driver's compiler may end; an error leaves the variant out.
	Compiles func(*gpu.Kernel) error
}

// trusted is how much faster than the default a variant must be to replace it: less is
// noise.
const trusted = 1.05

// Class tries the variants of one class on a device. A default that computes
// something else than the products is an error: nothing on the device can be trusted.
func Class(ctx context.Context, d gpu.Device, c wgsl.Class, o Options) (Result, error) {
	if o.Budget == 0 {
		o.Budget = Budget
	}
	r := Result{Class: c.String()}
	t, err := c.Trial(d)
	if err != nil {
		return r, err
	}
	defer t.Free()
	variants := c.Variants(d.Limits())
	r.Variant = variants[0]
	var want [][]uint32
	var rates []Rate
	// What compiles slowly is not waited for again and again.
	deadline := clock.Now().Add(10 * o.Budget)
	for i, v := range variants {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if i > 0 && clock.Now().After(deadline) {
			break
		}
		words, err := first(d, t, c.Kernel(v), v, o)
		if i == 0 {
			if err == nil {
				err = t.Check()
			}
			if err != nil {
				return r, fmt.Errorf("%s cannot compute %s: %w", d.Name(), c, err)
			}
			want = words
		}
		switch {
		case err != nil:
			r.Excluded = append(r.Excluded, fmt.Sprintf("%s: %v", v, err))
			continue
		case !slices.EqualFunc(words, want, slices.Equal[[]uint32]):
			r.Excluded = append(r.Excluded, v+": other bits than "+variants[0])
			continue
		}
		rates = append(rates, Rate{Variant: v})
	}
	seconds, err := race(ctx, d, t, rates, o.Budget)
	if err != nil {
		return r, err
	}
	r.Default, r.Tried = t.Work/seconds/1e9, len(rates)
	for i := range rates {
		rates[i].GFLOPS = r.Default / rates[i].ratio()
	}
	slices.SortStableFunc(rates, func(a, b Rate) int { return cmp.Compare(a.ratio(), b.ratio()) })
	r.Rates, r.GFLOPS = rates, r.Default
	if best := rates[0]; best.GFLOPS > trusted*r.Default {
		r.Variant, r.GFLOPS = best.Variant, best.GFLOPS
	}
	return r, nil
}

// first compiles a variant, runs it and reads what it left.
func first(d gpu.Device, t *wgsl.Trial, k *gpu.Kernel, variant string, o Options) ([][]uint32, error) {
	if o.Compiles != nil {
		if err := o.Compiles(k); err != nil {
			return nil, err
		}
	}
	p := d.Begin("trial")
	for _, x := range t.Outputs { // so that nothing of an earlier variant is taken for its result
		wgsl.Zero(p, x)
	}
	t.Run(p, variant)
	if err := p.End(); err != nil {
		return nil, err
	}
	var words [][]uint32
	for _, x := range t.Outputs {
		w := make([]uint32, x.Words())
		if err := d.Read(x, 0, w); err != nil {
			return nil, err
		}
		words = append(words, w)
	}
	return words, nil
}

// timed is the seconds of one of n runs that are handed over together.
func timed(d gpu.Device, t *wgsl.Trial, variant string, n int) (float64, error) {
	start := clock.Now()
	p := d.Begin("trial")
	for range n {
		t.Run(p, variant)
	}
	if err := p.End(); err != nil {
		return 0, err
	}
	var word [1]uint32
	err := d.Read(t.Outputs[0], 0, word[:]) // waits
	return clock.Since(start).Seconds() / float64(n), err
}

// round is about how long one timing should take: long against what handing over and
// waiting cost.
const round = 10 * time.Millisecond

// ratio is the median of the ratios.
func (r Rate) ratio() float64 {
	list := slices.Sorted(slices.Values(r.ratios))
	if n := len(list); n%2 == 0 {
		return (list[n/2-1] + list[n/2]) / 2
	}
	return list[len(list)/2]
}

// race times the variants in turns within the budget, each right after the default,
// which is the first, and drops those that are far behind the best. It returns the
// default's best seconds. Every variant has at least one turn, and the best few leastTurns,
// if it takes longer: one timing may be disturbed, and on an H100 such a one chose a tile that was a quarter as fast.
func race(ctx context.Context, d gpu.Device, t *wgsl.Trial, rates []Rate,
	budget time.Duration) (seconds float64, err error) {
	base := rates[0].Variant
	if seconds, err = timed(d, t, base, 1); err != nil {
		return 0, err
	}
	rates[0].ratios = []float64{1}
	deadline := clock.Now().Add(budget)
	running := make([]int, 0, len(rates))
	for i := range rates[1:] {
		running = append(running, i+1)
	}
	for turn := 0; turn < maxTurns && len(running) > 0; turn++ {
		for _, i := range running {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			if turn >= leastTurns && clock.Now().After(deadline) {
				return seconds, nil
			}
			if turn == 0 {
				// One run of a variant that spills may take as long as a round of the default: a round
				// of its own would be a long submission.
				once, err := timed(d, t, rates[i].Variant, 1)
				if err != nil {
					return 0, err
				}
				if once > hopeless*seconds {
					rates[i].ratios = []float64{once / seconds}
					continue
				}
			}
			n := max(1, int(round.Seconds()/seconds))
			first, err := timed(d, t, base, n)
			if err != nil {
				return 0, err
			}
			second, err := timed(d, t, rates[i].Variant, n)
			if err != nil {
				return 0, err
			}
			seconds = min(seconds, first)
			rates[i].ratios = append(rates[i].ratios, second/first)
		}
		running = contenders(rates, running, turn, clock.Now().After(deadline))
	}
	return seconds, nil
}

// contenders are those of the running that have another turn, the best first: those near the best, and without time
// the best few. As long as a single timing may decide, these few stay however far behind they seem.
func contenders(rates []Rate, running []int, turn int, late bool) []int {
	running = slices.DeleteFunc(running, func(i int) bool { return rates[i].ratio() > hopeless })
	slices.SortStableFunc(running, func(i, j int) int { return cmp.Compare(rates[i].ratio(), rates[j].ratio()) })
	near := 0
	for near < len(running) && rates[running[near]].ratio() <= behind(turn)*min(1, rates[running[0]].ratio()) {
		near++
	}
	few := min(finalists, len(running))
	switch {
	case turn+1 >= leastTurns:
		return running[:near]
	case late:
		return running[:few]
	}
	return running[:max(near, few)]
}

// leastTurns is how often a variant is timed before it is chosen, and finalists how many get there for certain.
const (
	leastTurns = 3
	finalists  = 4
)

// hopeless is how many times as long as the default a variant's single run may take for it to be timed at
// all.
const hopeless = 5

// maxTurns is enough to see through noise.
const maxTurns = 9

// behind is how far behind the best a variant may be to stay in the race.
func behind(turn int) float64 {
	if turn == 0 {
		return 1.5
	}
	return 1.2
}
