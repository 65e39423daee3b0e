package reduce_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"steplm/gpu"
	"steplm/stage/reduce"
	"steplm/stage/reduce/reducetest"
)

// together has each member of a group do something in a goroutine of its own.
func together(n int, o reduce.Options, do func(rank int, r *reduce.Reducer)) {
	var all sync.WaitGroup
	for rank, l := range reducetest.Group(n) {
		all.Go(func() { do(rank, reduce.New(l, o)) })
	}
	all.Wait()
}

// Sums have the bits of a loop over the ranks in their order, on every rank, whatever the number of values; and what
// is sent is what Bytes says.
func TestSumsAreInTheOrderOfRanks(t *testing.T) {
	g := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 5} {
		for _, values := range []int{0, 1, 2, 7, 1000, 1001} {
			parts := make([][]float32, n)
			want := make([]float32, values)
			for rank := range parts {
				for i := range want {
					x := float32(g.NormFloat64() * math.Pow(10, float64(g.IntN(8))))
					parts[rank] = append(parts[rank], x)
					want[i] += x
				}
			}
			got, sent := make([][]float32, n), make([]int64, n)
			together(n, reduce.Options{Wire: reduce.WireF32}, func(rank int, r *reduce.Reducer) {
				got[rank] = slices.Clone(parts[rank])
				if err := r.Values(got[rank]); err != nil {
					t.Error(err)
				}
				sent[rank] = r.Sent()
			})
			for rank := range got {
				if !slices.Equal(got[rank], want) {
					t.Fatalf("%d ranks, %d values: rank %d has %v, want %v", n, values, rank, got[rank], want)
				}
				if want := 2 * int64(n-1) * int64(reduce.Part(values, n)) * 4; sent[rank] != want {
					t.Errorf("%d ranks, %d values: rank %d sent %d bytes, want %d", n, values, rank, sent[rank], want)
				}
			}
		}
	}
}

// In bf16 all ranks have the same sums, close to those of f32, at half the bytes; what is no number stays none.
func TestBF16OnTheWire(t *testing.T) {
	const n, values = 3, 100
	got := make([][]float32, n)
	together(n, reduce.Options{Wire: reduce.WireBF16}, func(rank int, r *reduce.Reducer) {
		x := make([]float32, values)
		for i := range x {
			x[i] = float32(i+1) * float32(rank+1) / 7
		}
		if rank == 1 {
			x[5] = float32(math.NaN())
		}
		if err := r.Values(x); err != nil {
			t.Error(err)
		}
		if want := int64(2 * 2 * reduce.Part(values, n) * 2); r.Sent() != want {
			t.Errorf("sent %d bytes, want %d", r.Sent(), want)
		}
		got[rank] = x
	})
	for i := range values {
		want := float64(i+1) * 6 / 7
		for rank := range n {
			switch x := float64(got[rank][i]); {
			case i == 5 && !math.IsNaN(x):
				t.Errorf("what is no number became %g", x)
			case i != 5 && math.Abs(x/want-1) > 3.0/256:
				t.Errorf("value %d of rank %d: %g, want about %g", i, rank, x, want)
			case math.Float32bits(got[rank][i]) != math.Float32bits(got[0][i]):
				t.Errorf("value %d: rank %d has %g, rank 0 %g", i, rank, x, got[0][i])
			}
		}
	}
}

// Statistics are summed on the device, and who had one that is no number is named.
func TestStatsNameWhoDiverges(t *testing.T) {
	together(3, reduce.Options{}, func(rank int, r *reduce.Reducer) {
		d := gpu.NewHost()
		x, err := d.New(gpu.Spec{Name: "stats", Class: gpu.Scratch, DType: gpu.F32, Shape: []int{2}})
		if err != nil {
			t.Error(err)
			return
		}
		values := []float32{float32(rank), 1}
		if rank == 1 {
			values[0] = float32(math.Inf(1))
		}
		if err := gpu.WriteF32(d, x, values); err != nil {
			t.Error(err)
		}
		err, bad := r.Stats(d, x)
		if err != nil || bad == nil || !strings.Contains(bad.Error(), "rank 1 on host1") ||
			strings.Contains(bad.Error(), "rank 2") {
			t.Errorf("%v, %v", err, bad)
		}
		if got, _ := gpu.ReadF32(d, x); got[1] != 3 {
			t.Errorf("%v", got)
		}
	})
}

// Whoever differs is named in every process: the few, or, of as many, those that come later.
func TestAgreeNamesWhoDiffers(t *testing.T) {
	for _, c := range []struct {
		values []string // of the second fact
		want   string   // "": they agree
	}{
		{[]string{"a", "a", "a"}, ""}, {[]string{"a", "b", "a"}, "rank 1 on host1: another data"},
		{[]string{"b", "a", "a"}, "rank 0 on host0: another data"},
		{[]string{"a", "b"}, "rank 1 on host1: another data"},
		{[]string{"a", "longer", "c", "a"}, "rank 1 on host1 and rank 2 on host2: another data"},
	} {
		together(len(c.values), reduce.Options{}, func(rank int, r *reduce.Reducer) {
			err := r.Agree([]reduce.Fact{{Name: "recipe", Value: "x"}, {Name: "data", Value: c.values[rank]}})
			var differ *reduce.Disagreement
			if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &differ) ||
				!strings.HasPrefix(err.Error(), c.want)) {
				t.Errorf("%q, rank %d: %v, want %q", c.values, rank, err, c.want)
			}
		})
	}
}

// More processes compute a smaller share of their time, and more bandwidth makes more of them useful.
func TestUsefulNumbers(t *testing.T) {
	o := reduce.Options{Wire: reduce.WireF32}
	l := reduce.Load{Gradients: []int{1 << 24, 1 << 24, 1 << 24}, Statistics: 4}
	slow, fast := reduce.Link{Bandwidth: 1e9, Latency: 5e-6}, reduce.Link{Bandwidth: 1e10, Latency: 5e-6}
	before := 1.0
	for _, n := range []int{1, 2, 3, 8, 100, 1000} {
		e := o.Efficiency(l, n, slow, 0.3)
		if e > before || e <= 0 {
			t.Errorf("%d processes: efficiency %g after %g", n, e, before)
		}
		before = e
	}
	a, b := o.Useful(l, slow, 0.3), o.Useful(l, fast, 0.3)
	if !(1 < a && a < b && b < reduce.MostProcesses) || o.Efficiency(l, a, slow, 0.3) < 0.5 ||
		o.Efficiency(l, a+1, slow, 0.3) >= 0.5 {
		t.Errorf("useful are %d at 1 GB/s, %d at 10", a, b)
	}
	if o.Bytes(l, 1) != 0 {
		t.Errorf("one process sends %d bytes", o.Bytes(l, 1))
	}
}
