package wgsl

import (
	"math/rand/v2"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
)

func TestCastBF16(t *testing.T) {
	for _, n := range []int{1, 2, 63, 64, 65, 127, 128, 129, 100001} {
		g := rand.New(rand.NewPCG(1, uint64(n)))
		bits := make([]uint32, n)
		for i := range bits {
			bits[i] = g.Uint32()
			switch i % 3 {
			case 1:
				bits[i] = bits[i]&0xffff0000 | 0x8000 // a tie
			case 2:
				bits[i] = special[g.IntN(len(special))]
			}
		}
		x := gpu.Floats(bits)
		words := (n + 1) / 2
		packed, back := make([]uint32, words), make([]float32, n)
		ref.CastToBF16(packed, x, n)
		ref.CastFromBF16(back, packed, n)
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			tx, tb := gputest.Tensor(t, d, "x", x, n), gputest.Tensor(t, d, "back", nil, n)
			to, err := d.New(gpu.Spec{Name: "out", Class: gpu.Scratch, DType: gpu.BF16, Shape: []int{n}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.Free(to) })
			dirty := make([]uint32, words)
			for i := range dirty {
				dirty[i] = 0xdeadbeef
			}
			if err := d.Write(to, 0, dirty); err != nil {
				t.Fatal(err)
			}
			run(t, d, func(p *gpu.Pass) {
				CastToBF16(p, to, tx, n)
				CastFromBF16(p, tb, to, n)
			})
			got := make([]uint32, words)
			if err := d.Read(to, 0, got); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, packed) {
				t.Errorf("%d elements: packed words differ from the reference", n)
			}
			unchanged(t, d, tb, back)
			unchanged(t, d, tx, x)
		})
	}
}
