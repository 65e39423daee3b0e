package synthetic

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/stage/recipe/recipetest"
)

// Batches follow from seed and place, and stay within the vocabulary.
func TestBatches(t *testing.T) {
	s := recipetest.Tiny().Batch
	next := func(r *Batches) []uint32 {
		b, err := r.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Inputs) != s.Rows() || !cmp.Equal(b.Inputs[1:], b.Targets[:s.Rows()-1]) {
			t.Errorf("inputs %v, targets %v", b.Inputs, b.Targets)
		}
		for _, id := range b.Inputs {
			if id >= 32 {
				t.Errorf("id %d of a vocabulary of 32", id)
			}
		}
		return b.Inputs
	}
	a, b := New(s, 32, 1), New(s, 32, 1)
	first := next(a)
	at := a.Cursor()
	second := next(a)
	if cmp.Equal(first, second) || cmp.Equal(first, next(New(s, 32, 2))) || !cmp.Equal(first, next(b)) {
		t.Error("batches do not follow from seed and place")
	}
	if err := b.Seek(at); err != nil || !cmp.Equal(second, next(b)) {
		t.Error("after Seek it goes on elsewhere")
	}
}
