package update

import (
	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/update/ref"
)

var normals = library.Add(&gpu.Kernel{Name: "normals",
	Source: library.Text("random") + "\n" + library.Text("normals"), Workgroup: [3]int{64, 1, 1},
	Access: []gpu.Access{w}, DTypes: []gpu.DType{gpu.F32}, Host: func(a gpu.Args) {
		ref.Normals(a.F(0), a.Int(1), 8*a.Int(2), a.Float(3), Draw{Key: uint32(a.Int(4)), Count: uint32(a.Int(5))})
	}})

// Normals sets out (rows, C; F32) to normal random numbers of a deviation: those of its places
// under a draw, so that they need not be kept.
func Normals(p *gpu.Pass, out gpu.Tensor, deviation float64, draw Draw) {
	if !kernel.Alike(p, normals.Name, out) {
		return
	}
	n := out.Rows() * kernel.EightStride(out)
	p.Run(gpu.Call{Kernel: normals, Groups: kernel.Groups1(n, 64),
		Params: p.Params(uint32(n), uint32(out.Cols()), uint32(kernel.EightStride(out)),
			gpu.Param(float32(deviation)), draw.Key, draw.Count),
		Tensors: p.Tensors(out), Work: kernel.Traffic(4, 8*n) + 400*float64(n)})
}
