package optim

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"steplm/gpu"
	"steplm/wgsl/update"
)

// Kept is what a reset keeps of a parameter's moments.
type Kept struct {
	Share float64 // of the elements, at least 0 and below 1
	By    string  // which, see KeptBy; "": ByMagnitude
	Seed  uint64  // of AtRandom
}

// Which elements a partial reset keeps.
const (
	// ByMagnitude keeps the elements whose first moment is above the quantile 1-Share of its
	// magnitudes, and the rest of their moments with it.
	ByMagnitude = "magnitude"
	// EachMagnitude does so in each moment alone, as ReLoRA's program does: then an element may
	// keep its first moment and lose its second, and takes a huge step unless the rate is small.
	EachMagnitude = "each_magnitude"
	// AtRandom draws for each element whether all of its moments stay.
	AtRandom = "random"
)

// KeptBy are the choices of Kept.By, the default first.
func KeptBy() []string { return []string{ByMagnitude, EachMagnitude, AtRandom} }

// Validate refuses what means nothing.
func (k Kept) Validate() error {
	if !(k.Share >= 0 && k.Share < 1) {
		return fmt.Errorf("a share of %g of the moments is kept: it must be at least 0 and below 1", k.Share)
	}
	if k.By != "" && !slices.Contains(KeptBy(), k.By) {
		return fmt.Errorf("moments kept by %q: choose one of %s", k.By, strings.Join(KeptBy(), ", "))
	}
	return nil
}

// of marks the elements that are kept of a parameter's moments, by the values of one.
func (k Kept) of(name string, values []float32) []bool {
	if k.By != AtRandom {
		return aboveQuantile(values, 1-k.Share)
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	g := rand.New(rand.NewPCG(k.Seed, h.Sum64()))
	keep := make([]bool, len(values))
	for i := range keep {
		keep[i] = g.Float64() < k.Share
	}
	return keep
}

// aboveQuantile marks the values whose magnitude is strictly above the p-quantile of all magnitudes, which is
// interpolated in a line between the two at position p (n-1), in float32, as torch.quantile does: where all are
// equal, none is.
func aboveQuantile(values []float32, p float64) []bool {
	sorted := make([]float32, len(values))
	for i, x := range values {
		sorted[i] = float32(math.Abs(float64(x)))
	}
	slices.Sort(sorted)
	at := float32(p) * float32(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	// The conversions forbid fused multiply-adds.
	threshold := sorted[low] + float32((at-float32(low))*(sorted[high]-sorted[low]))
	keep := make([]bool, len(values))
	for i, x := range values {
		keep[i] = float32(math.Abs(float64(x))) > threshold
	}
	return keep
}

// pruneFloats zeroes what is not kept of a parameter's float planes of one shape, of which the first decides.
func pruneFloats(d gpu.Device, name string, k Kept, planes ...gpu.Tensor) error {
	var keep []bool
	for _, x := range planes {
		values, err := gpu.ReadF32(d, x)
		if err != nil {
			return err
		}
		if keep == nil || k.By == EachMagnitude {
			keep = k.of(name, values)
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

// pruneCodes is pruneFloats for the moments of wgsl.AdamWFlash8 of a weight.
func pruneCodes(d gpu.Device, weight gpu.Tensor, k Kept, m, v, scales gpu.Tensor) error {
	if k.By == EachMagnitude {
		return fmt.Errorf("moments of 8 bits are not kept by %s: their second one has no code for 0 beside a first one",
			EachMagnitude)
	}
	var words [3][]uint32
	for i, x := range []gpu.Tensor{m, v, scales} {
		words[i] = make([]uint32, x.Words())
		if err := d.Read(x, 0, words[i]); err != nil {
			return err
		}
	}
	first := make([]float32, weight.Elements()) // without padding, which would count as zeros
	at := func(i int) int { return i/weight.Cols()*weight.Stride() + i%weight.Cols() }
	for i := range first {
		first[i] = update.Flash8First(words[0], words[2], at(i))
	}
	for i, keep := range k.of(weight.Name, first) {
		if j := at(i); !keep {
			words[0][j/4] &^= 0xff << (j % 4 * 8)
			words[1][j/4] &^= 0xff << (j % 4 * 8)
		}
	}
	if err := d.Write(m, 0, words[0]); err != nil {
		return err
	}
	return d.Write(v, 0, words[1])
}
