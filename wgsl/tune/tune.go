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
	"steplm/wgsl"
)

// Budget is the default time for the trials of a class, but for compiling.
const Budget = time.Second

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
	seconds float64 // of the fastest run
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
	deadline := time.Now().Add(10 * o.Budget)
	for i, v := range variants {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if i > 0 && time.Now().After(deadline) {
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
		seconds, err := timed(d, t, v, 1)
		if err != nil {
			return r, err
		}
		rates = append(rates, Rate{Variant: v, seconds: seconds})
	}
	if err := race(ctx, d, t, rates, o.Budget); err != nil {
		return r, err
	}
	for i := range rates {
		rates[i].GFLOPS = t.Work / rates[i].seconds / 1e9
	}
	r.Default, r.Tried = rates[0].GFLOPS, len(rates)
	slices.SortStableFunc(rates, func(a, b Rate) int { return cmp.Compare(a.seconds, b.seconds) })
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
	start := time.Now()
	p := d.Begin("trial")
	for range n {
		t.Run(p, variant)
	}
	if err := p.End(); err != nil {
		return 0, err
	}
	var word [1]uint32
	err := d.Read(t.Outputs[0], 0, word[:]) // waits
	return time.Since(start).Seconds() / float64(n), err
}

// round is about how long one timing should take: long against what handing over and
// waiting cost.
const round = 10 * time.Millisecond

// race times the variants in turns within the budget, so that what else the machine
// does meets all of them, and drops those that are far behind. Each keeps its best
// time.
func race(ctx context.Context, d gpu.Device, t *wgsl.Trial, rates []Rate, budget time.Duration) error {
	deadline := time.Now().Add(budget)
	running := make([]int, len(rates))
	for i := range running {
		running[i] = i
	}
	for turn := 0; turn < maxTurns && time.Now().Before(deadline); turn++ {
		best := slices.MinFunc(rates, func(a, b Rate) int { return cmp.Compare(a.seconds, b.seconds) }).seconds
		running = slices.DeleteFunc(running, func(i int) bool { return rates[i].seconds > behind(turn)*best })
		for _, i := range running {
			if err := ctx.Err(); err != nil {
				return err
			}
			if turn > 0 && time.Now().After(deadline) {
				return nil
			}
			n := max(1, int(round.Seconds()/rates[i].seconds))
			s, err := timed(d, t, rates[i].Variant, n)
			if err != nil {
				return err
			}
			rates[i].seconds = min(rates[i].seconds, s)
		}
	}
	return nil
}

// maxTurns is enough to see through noise.
const maxTurns = 8

// behind is how far behind the best a variant may be to stay in the race.
func behind(turn int) float64 {
	switch turn {
	case 0:
		return 4
	case 1:
		return 1.5
	}
	return 1.15
}
