package gpu

import (
	"strings"
	"testing"
)

// A recorded call runs on tensors of the replay's own: shared among calls, distinct
// within one, of ordinary numbers, and freed in the end.
func TestReplay(t *testing.T) {
	add := &Kernel{Name: "add", Workgroup: [3]int{1, 1, 1}, Access: []Access{Write, Read, Read}, Host: func(a Args) {
		for i := range a.F(0) {
			a.F(0)[i] = a.F(1)[i] + a.F(2)[i] + float32(a.Int(0))
		}
	}}
	dry, host := NewDry(NewHost().Limits()), NewHost()
	before := host.Ledger().Total()
	tensor := func(name string, dtype DType) Tensor {
		x, err := dry.New(Spec{Name: name, DType: dtype, Shape: []int{3, 5}})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	x, y, z := tensor("x", F32), tensor("y", F32), tensor("z", F32)
	p := dry.Begin("record")
	p.Run(Call{Kernel: add, Groups: [3]int{1, 1, 1}, Params: []uint32{7}, Tensors: []Tensor{x, y, z}})
	p.Run(Call{Kernel: add, Groups: [3]int{1, 1, 1}, Params: []uint32{7}, Tensors: []Tensor{z, y, y}})
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
	r := NewReplay(host)
	for i, c := range dry.Calls() {
		own, err := r.Call(c)
		if err != nil {
			t.Fatal(err)
		}
		p := host.Begin("replay")
		p.Run(own)
		if err := p.End(); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		got, err := ReadF32(host, own.Tensors[0])
		if err != nil {
			t.Fatal(err)
		}
		for j, v := range got {
			if v == 7 || v < 6 || v > 8 {
				t.Errorf("call %d, element %d: %g is no sum of 7 and two values within 0.5", i, j, v)
			}
		}
	}
	if got, want := host.Ledger().Total()-before, 3*x.Bytes(); got != want {
		t.Errorf("two calls of three tensors take %d bytes, want %d", got, want)
	}
	ids := tensor("ids", U32)
	if _, err := r.Call(Call{Kernel: add, Tensors: []Tensor{x, ids, y}}); err == nil ||
		!strings.Contains(err.Error(), "ids is u32") {
		t.Errorf("error %v", err)
	}
	r.Free()
	if left := host.Ledger().Total() - before; left != 0 {
		t.Errorf("%d bytes are left", left)
	}
}
