package gpu

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestBudgetByPace(t *testing.T) {
	for _, c := range []struct {
		p    pace
		want float64
	}{
		{pace{}, 2e9},
		{pace{share: 1}, 2e9},
		{pace{speed: 3e12}, 1e11},
		{pace{speed: 3e7}, 1e6},
		{pace{speed: 1e18}, maxBudget},
		{pace{share: 0.5}, 6e8},
		{pace{speed: 3e12, share: 0.1}, 3e10},
	} {
		if got := c.p.budget(2e9); math.Abs(got-c.want) > 1e-9*c.want {
			t.Errorf("%+v: a budget of %g, want %g", c.p, got, c.want)
		}
	}
}

func TestPaceIsChecked(t *testing.T) {
	for _, d := range []Device{NewHost(), NewDry(Limits{})} {
		for _, f := range []float64{0, -1, math.NaN(), math.Inf(1)} {
			if err := SetSpeed(d, f); err == nil || !strings.Contains(err.Error(), "above 0") {
				t.Errorf("%s: speed %g: %v", d.Name(), f, err)
			}
			if err := SetShare(d, f); err == nil || !strings.Contains(err.Error(), "at most 1") {
				t.Errorf("%s: share %g: %v", d.Name(), f, err)
			}
		}
		if err := SetShare(d, 1.01); err == nil {
			t.Errorf("%s: a share above 1 was taken", d.Name())
		}
	}
}

// A pace changes how often work is handed over and how long the device rests, and no
// word of what is computed.
func TestPaceChangesNoResult(t *testing.T) {
	var slept []time.Duration
	sleep = func(d time.Duration) { slept = append(slept, d) }
	t.Cleanup(func() { sleep = time.Sleep })
	run := func(d Device, budget float64) []uint32 {
		const n = 1000
		x, err := d.New(Spec{Name: "x", Class: Scratch, DType: U32, Shape: []int{n}})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Free(x)
		p := d.Begin("paced")
		for range 5 {
			p.Run(Call{Kernel: &count, Groups: [3]int{n, 1, 1}, Params: []uint32{n, 1}, Tensors: []Tensor{x},
				Work: budget})
		}
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
		got := make([]uint32, n)
		if err := d.Read(x, 0, got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	d := adapter(t)
	t.Cleanup(func() { d.pace = pace{} })
	budget := d.Limits().Budget
	want := run(d, budget)
	if slept != nil {
		t.Fatalf("a device that is not shared rested for %v", slept)
	}
	for _, c := range []struct {
		set           func(Device) error
		fewest, rests int
	}{
		{func(d Device) error { return SetSpeed(d, 0.3*budget) }, 500, 0}, // submissions of a hundredth
		{func(d Device) error { return SetSpeed(d, 300*budget) }, 1, 0},
		{func(d Device) error { return SetShare(d, 0.5) }, 1, 2},
		{func(d Device) error { return SetShare(d, 1) }, 1, 0},
	} {
		slept = nil
		if err := c.set(d); err != nil {
			t.Fatal(err)
		}
		if l := d.Limits().Budget; l != budget {
			t.Errorf("the budget in the limits became %g", l)
		}
		before := d.submissions
		if got := run(d, budget); !slices.Equal(got, want) {
			t.Errorf("%+v changed the result", d.pace)
		}
		if n := int(d.submissions - before); n < c.fewest {
			t.Errorf("%+v: %d submissions, want at least %d", d.pace, n, c.fewest)
		}
		if len(slept) < c.rests || c.rests == 0 && len(slept) > 0 {
			t.Errorf("%+v: the device rested %d times, want at least %d", d.pace, len(slept), c.rests)
		}
	}

	h := NewHost()
	if err := SetShare(h, 0.5); err != nil {
		t.Fatal(err)
	}
	slept = nil
	if got := run(h, budget); !slices.Equal(got, want) || len(slept) != 5 {
		t.Errorf("the host rested %d times in 5 calls, the result is the same: %v", len(slept), slices.Equal(got, want))
	}
	slept = nil
	pace{share: 0.25}.rest(time.Second)
	if slept[0] != 3*time.Second {
		t.Errorf("a quarter of the time: %v of rest after a second of work", slept[0])
	}
}
