package data

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/data/internal/permute"
)

func TestNewBatch(t *testing.T) {
	got := NewBatch([]uint32{7, 3, 7, 0, 3, 7}, []uint32{3, 7, 0, 3, 7, Ignored})
	want := Batch{
		Inputs:  []uint32{7, 3, 7, 0, 3, 7},
		Targets: []uint32{3, 7, 0, 3, 7, Ignored},
		Tokens:  []uint32{0, 3, 7},
		Starts:  []uint32{0, 1, 3, 6},
		Order:   []uint32{3, 1, 4, 0, 2, 5},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestNewBatchSegments(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 2, 63, 64, 65, 1000} {
		inputs := make([]uint32, n)
		for i := range inputs {
			inputs[i] = rng.Uint32N(50) * 0x05000000
		}
		b := NewBatch(inputs, make([]uint32, n))
		if len(b.Starts) != len(b.Tokens)+1 || b.Starts[0] != 0 || int(b.Starts[len(b.Tokens)]) != n ||
			len(b.Order) != n {
			t.Fatalf("n=%d: %d tokens, starts %v, %d rows", n, len(b.Tokens), b.Starts, len(b.Order))
		}
		if !slices.IsSorted(b.Tokens) || len(slices.Compact(slices.Clone(b.Tokens))) != len(b.Tokens) {
			t.Fatalf("n=%d: tokens %v are not ascending and distinct", n, b.Tokens)
		}
		for i, id := range b.Tokens {
			rows := b.Order[b.Starts[i]:b.Starts[i+1]]
			if len(rows) == 0 || !slices.IsSorted(rows) {
				t.Fatalf("n=%d: id %d has rows %v", n, id, rows)
			}
			for _, row := range rows {
				if inputs[row] != id {
					t.Fatalf("n=%d: row %d is in the segment of id %d, holds %d", n, row, id, inputs[row])
				}
			}
		}
		order := slices.Clone(b.Order)
		slices.Sort(order)
		for i, row := range order {
			if int(row) != i {
				t.Fatalf("n=%d: row %d is missing from Order", n, i)
			}
		}
	}
}

// BenchmarkNewBatch sorts 16 windows of 1024 ids.
func BenchmarkNewBatch(b *testing.B) {
	inputs := make([]uint32, 16*1024)
	for i := range inputs {
		inputs[i] = uint32(permute.Mix(uint64(i)) % 32000)
	}
	for b.Loop() {
		NewBatch(inputs, inputs)
	}
}
