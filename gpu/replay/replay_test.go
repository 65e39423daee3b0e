package replay

import (
	"strings"
	"testing"

	"steplm/gpu"
)

// A recorded call runs on tensors of the replay's own: shared among calls, distinct
// within one, of ordinary numbers, and freed in the end.
func TestReplay(t *testing.T) {
	add := &gpu.Kernel{Name: "add", Workgroup: [3]int{1, 1, 1},
		Access: []gpu.Access{gpu.Write, gpu.Read, gpu.Read}, Host: func(a gpu.Args) {
			for i := range a.F(0) {
				a.F(0)[i] = a.F(1)[i] + a.F(2)[i] + float32(a.Int(0))
			}
		}}
	dry, host := gpu.NewDry(gpu.NewHost().Limits()), gpu.NewHost()
	before := host.Ledger().Total()
	tensor := func(name string, dtype gpu.DType) gpu.Tensor {
		x, err := dry.New(gpu.Spec{Name: name, DType: dtype, Shape: []int{3, 5}})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	x, y, z := tensor("x", gpu.F32), tensor("y", gpu.F32), tensor("z", gpu.F32)
	p := dry.Begin("record")
	p.Run(gpu.Call{Kernel: add, Groups: [3]int{1, 1, 1}, Params: []uint32{7}, Tensors: []gpu.Tensor{x, y, z}})
	p.Run(gpu.Call{Kernel: add, Groups: [3]int{1, 1, 1}, Params: []uint32{7}, Tensors: []gpu.Tensor{z, y, y}})
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
		got, err := gpu.ReadF32(host, own.Tensors[0])
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
	ids := tensor("ids", gpu.U32)
	if _, err := r.Call(gpu.Call{Kernel: add, Tensors: []gpu.Tensor{x, ids, y}}); err == nil ||
		!strings.Contains(err.Error(), "ids is u32") {
		t.Errorf("error %v", err)
	}
	r.Free()
	if left := host.Ledger().Total() - before; left != 0 {
		t.Errorf("%d bytes are left", left)
	}
}
