package datatest

import (
	"bytes"
	"fmt"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Mutate damages a copy of good bytes and says how.
func Mutate(rng *rand.Rand, good []byte) (string, []byte) {
	b := bytes.Clone(good)
	switch kind := rng.IntN(10); {
	case kind < 5:
		i, bit := rng.IntN(len(b)), rng.IntN(8)
		b[i] ^= 1 << bit
		return fmt.Sprintf("bit %d of byte %d flipped", bit, i), b
	case kind < 6:
		n := rng.IntN(len(b))
		return fmt.Sprintf("cut to %d bytes", n), b[:n]
	case kind < 8:
		from := rng.IntN(len(b))
		n := min(1+rng.IntN(16), len(b)-from)
		for i := range n {
			b[from+i] = byte(rng.Uint32())
		}
		return fmt.Sprintf("%d bytes overwritten at %d", n, from), b
	case kind < 9:
		from := rng.IntN(len(b))
		n := min(1+rng.IntN(64), len(b)-from)
		fill := byte(0xFF * rng.IntN(2))
		for i := range n {
			b[from+i] = fill
		}
		return fmt.Sprintf("%d bytes set to %d at %d", n, fill, from), b
	default:
		from := rng.IntN(len(b) / 2)
		n := 1 + rng.IntN(len(b)/4)
		return fmt.Sprintf("%d bytes taken out at %d", n, from), slices.Delete(b, from, from+n)
	}
}

// InTime fails the test where f hangs; Arrow has loops that damaged files keep
// going for ever.
func InTime(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("%s: still running after a minute", what)
	}
}

// OneLine wants one line that names the file.
func OneLine(t *testing.T, path string, err error) {
	t.Helper()
	if !strings.Contains(err.Error(), filepath.Base(path)) || strings.Contains(err.Error(), "\n") {
		t.Errorf("not one line that names %s: %q", filepath.Base(path), err)
	}
}

// All reads to the end or to the first error.
func All[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for x, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, x)
	}
	return all, nil
}
