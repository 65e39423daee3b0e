package gpu_test

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
)

func TestSelfTest(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		w, err := gpu.SelfTest(d)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %q", d.Name(), w)
	})
}

// Sizes around the staging and upload chunks, under garbage collection.
func TestWriteReadAtAnyOffset(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		const n = 3<<20 + 17
		x, err := d.New(gpu.Spec{Name: "x", Class: gpu.Scratch, DType: gpu.U32, Shape: []int{n}})
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
