package gpu

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

// collect runs the garbage collector over and over until the test ends.
func collect(t *testing.T) {
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	})
	t.Cleanup(func() { close(stop); wait.Wait() })
}

// The binding's own way to map a buffer panics when the collector moves what C
// was given the address of.
func TestManyReadsUnderGarbageCollection(t *testing.T) {
	d := adapter(t)
	x := counter(t, d, 16)
	collect(t)
	words, got := make([]uint32, 16), make([]uint32, 16)
	for i := range uint32(2000) {
		words[i%16] = i
		if err := d.Write(x, int(i%16), words[i%16:i%16+1]); err != nil {
			t.Fatal(err)
		}
		if err := d.Read(x, 0, got); err != nil {
			t.Fatal(err)
		}
		if got[i%16] != i || got[(i+1)%16] != words[(i+1)%16] {
			t.Fatalf("round %d reads %d, want %d", i, got, words)
		}
	}
}

// Callers with tensors of their own do not disturb one another.
func TestConcurrentCallers(t *testing.T) {
	both(t, func(t *testing.T, d Device) {
		var wait sync.WaitGroup
		for caller := range uint32(8) {
			wait.Go(func() {
				n := 100 + int(caller)
				got := make([]uint32, n)
				for round := range uint32(10) {
					x, err := d.New(Spec{Name: "x", Class: Scratch, DType: U32, Shape: []int{n}})
					if err != nil {
						t.Error(err)
						return
					}
					for i := range got {
						got[i] = caller<<16 | uint32(i)
					}
					if err := d.Write(x, 0, got); err != nil {
						t.Error(err)
						return
					}
					for range 3 {
						if err := add(d, x, int(round)); err != nil {
							t.Error(err)
							return
						}
					}
					if err := d.Read(x, 0, got); err != nil {
						t.Error(err)
						return
					}
					for i, g := range got {
						if want := caller<<16 | uint32(i) + 3*round; g != want {
							t.Errorf("caller %d, round %d: word %d is %x, want %x", caller, round, i, g, want)
							return
						}
					}
					d.Free(x)
				}
			})
		}
		collect(t)
		wait.Wait()
	})
}

// Sizes around the staging and upload chunks, under garbage collection.
func TestWriteReadAtAnyOffset(t *testing.T) {
	both(t, func(t *testing.T, d Device) {
		const n = 3<<20 + 17
		x, err := d.New(Spec{Name: "x", Class: Scratch, DType: U32, Shape: []int{n}})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Free(x)
		want := make([]uint32, n)
		if err := d.Read(x, 0, want); err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if want[i] != 0 {
				t.Fatalf("new tensor has %d at %d", want[i], i)
			}
			want[i] = rand.Uint32()
		}
		if err := d.Write(x, 0, want); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			runtime.GC()
			at := rand.IntN(n)
			k := 1 + rand.IntN(n-at)
			if k > 4096 && rand.IntN(10) > 0 {
				k = 4096
			}
			got := make([]uint32, k)
			if err := d.Read(x, at, got); err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if got[i] != want[at+i] {
					t.Fatalf("word %d reads %x, wrote %x", at+i, got[i], want[at+i])
				}
			}
		}
	})
}
