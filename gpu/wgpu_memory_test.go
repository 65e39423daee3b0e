package gpu

import (
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"steplm/gpu/memory"
)

// On a CPU adapter the process takes what the ledger says and a constant: tensors
// of all sizes, touched, written and read; every second one freed and the room
// filled with others; all freed and made anew.
func TestTheProcessTakesWhatTheLedgerSays(t *testing.T) {
	d := adapter(t)
	if !d.Limits().CPU {
		t.Skip("the tensors are in the adapter's memory")
	}
	one := counter(t, d, 1)
	if err := runBump(d, one, 1); err != nil { // compiled
		t.Fatal(err)
	}
	const total, slack = 256 << 20, 48 << 20
	most := 1.05 // of the ledger
	if d.Limits().Backed {
		most = 1.25 // chunks with one tensor left in them
	}
	chunk := make([]uint32, 2<<20)
	debug.FreeOSMemory()
	if err := memory.ResetProcessPeak(); err != nil {
		t.Skip(err)
	}
	start, _ := memory.ProcessPeak()
	start -= d.Ledger().TotalOn(d.Limits())
	d.Ledger().ResetPeak()
	check := func(when string) {
		t.Helper()
		counted(t, d, one) // wait
		n, _ := memory.ProcessPeak()
		peak := d.Ledger().PeakOn(d.Limits())
		t.Logf("%s: %s besides a ledger of %s", when, Bytes(n-peak-start), Bytes(peak))
		if n > start+int64(float64(peak)*most)+slack {
			t.Errorf("%s: the process grew by %s with a ledger of %s", when, Bytes(n-start), Bytes(peak))
		}
	}
	next := 0
	fill := func(bytes int64) (made []Tensor) {
		for sum := int64(0); sum < bytes; next++ {
			// KiB
			x, err := d.New(Spec{Name: "x", DType: U32, Shape: []int{[]int{3, 20, 150, 1100, 4000, 9000}[next%6] << 8}})
			if err != nil {
				t.Fatal(err)
			}
			sum += x.Bytes()
			made = append(made, x)
		}
		return made
	}
	free := func(list []Tensor) {
		for _, x := range list {
			d.Free(x)
		}
	}
	// touch writes a word of every page.
	touch := func(list []Tensor) {
		const page = 1024
		p := d.Begin("touch")
		for _, x := range list {
			p.Run(Call{Kernel: &bump, Groups: [3]int{Groups(x.Words(), 64*page), 1, 1},
				Params: []uint32{uint32(x.Words()), 1, page}, Tensors: []Tensor{x}})
		}
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
	}

	list := fill(total)
	touch(list)
	check("touched")
	for _, x := range list {
		for at := 0; at < x.Words(); at += len(chunk) {
			w := chunk[:min(len(chunk), x.Words()-at)]
			if err := d.Write(x, at, w); err != nil {
				t.Fatal(err)
			}
		}
	}
	check("written")
	for _, x := range list {
		for at := 0; at < x.Words(); at += len(chunk) {
			if err := d.Read(x, at, chunk[:min(len(chunk), x.Words()-at)]); err != nil {
				t.Fatal(err)
			}
		}
	}
	check("read")

	var kept []Tensor
	for i, x := range list {
		if i%2 == 0 {
			d.Free(x)
		} else {
			kept = append(kept, x)
		}
	}
	list = append(kept, fill(total-d.Ledger().Total())...)
	touch(list)
	check("every second one replaced")

	for range 3 {
		touch(list)
		free(list)
		list = fill(total)
	}
	touch(list)
	check("freed and made anew without waiting")
	free(list)
}

// Systems that use huge pages everywhere must not do so here.
func TestSmallPages(t *testing.T) {
	if d := adapter(t); !d.Limits().CPU {
		t.Skip("the tensors are in the adapter's memory")
	}
	b, _ := os.ReadFile("/proc/self/status")
	_, v, found := strings.Cut(string(b), "THP_enabled:")
	if !found {
		t.Skip("the system does not say")
	}
	if v, _, _ = strings.Cut(strings.TrimSpace(v), "\n"); v != "0" {
		t.Errorf("THP_enabled is %s", v)
	}
}

// What was freed while the adapter may still use it is waited for before more is
// allocated; otherwise nothing is waited for.
func TestNewWaitsForFreedTensors(t *testing.T) {
	d := adapter(t)
	x, y := counter(t, d, 4), counter(t, d, 4)
	if err := add(d, x, 1); err != nil {
		t.Fatal(err)
	}
	counter(t, d, 4)
	if d.pending == 0 {
		t.Error("New waited though nothing was freed")
	}
	d.Free(x)
	if d.pending == 0 {
		t.Error("Free waited")
	}
	counter(t, d, 4)
	if d.pending != 0 {
		t.Error("New did not wait for the freed tensor")
	}
	before := d.submissions
	d.Free(y)
	counter(t, d, 4)
	if d.submissions != before {
		t.Error("New waited though the device was idle")
	}
}
