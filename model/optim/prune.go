package optim

import (
	"cmp"
	"math"
	"slices"

	"steplm/gpu"
	"steplm/wgsl"
)

// pruneFloats zeroes all but n elements of float planes of one shape: those stay that are
// largest in the first.
func pruneFloats(d gpu.Device, n int, planes ...gpu.Tensor) error {
	var keep []bool
	for _, x := range planes {
		values, err := gpu.ReadF32(d, x)
		if err != nil {
			return err
		}
		if keep == nil {
			keep = largest(values, n)
		}
		for i := range values {
			if !keep[i] {
				values[i] = 0
			}
		}
		if err := gpu.WriteF32(d, x, values); err != nil {
			return err
		}
	}
	return nil
}

// pruneCodes is pruneFloats for the moments of wgsl.AdamWFlash8.
func pruneCodes(d gpu.Device, m, v, scales gpu.Tensor, n int) error {
	var words [3][]uint32
	for i, x := range []gpu.Tensor{m, v, scales} {
		words[i] = make([]uint32, x.Words())
		if err := d.Read(x, 0, words[i]); err != nil {
			return err
		}
	}
	first := make([]float32, 4*len(words[0]))
	for i := range first {
		first[i] = wgsl.Flash8First(words[0], words[2], i)
	}
	for i, keep := range largest(first, n) {
		if !keep {
			words[0][i/4] &^= 0xff << (i % 4 * 8)
			words[1][i/4] &^= 0xff << (i % 4 * 8)
		}
	}
	if err := d.Write(m, 0, words[0]); err != nil {
		return err
	}
	return d.Write(v, 0, words[1])
}

// largest marks the n values of the largest magnitudes; of equals, the first.
func largest(values []float32, n int) []bool {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(math.Abs(float64(values[b])), math.Abs(float64(values[a])))
	})
	keep := make([]bool, len(values))
	for _, i := range order[:min(n, len(order))] {
		keep[i] = true
	}
	return keep
}
