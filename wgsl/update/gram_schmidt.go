package update

import (
	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/update/ref"
)

// Gram-Schmidt of the rows of a matrix, in panels: a call makes the rows of one orthonormal, in one workgroup, and
// takes what lies along the one before from all rows after it, so that there are few calls that wait for each other.

var fillRows = library.Add(&gpu.Kernel{Name: "fill_rows",
	Source:    kernel.TreeText + "\n" + library.Text("random") + "\n" + library.Text("fill_rows"),
	Workgroup: [3]int{64, 1, 1}, Shared: 64 * 4, Access: []gpu.Access{w}, DTypes: []gpu.DType{gpu.F32},
	Host: func(a gpu.Args) {
		ref.FillRows(a.F(0), a.Int(0), Draw{Key: uint32(a.Int(3)), Count: uint32(a.Int(4))})
	}})

var unitRows = library.Tree("unit_rows", []gpu.Access{w}, func(a gpu.Args) { ref.UnitRows(a.F(0), a.Int(0)) })

var orthogonalPanel = library.Add(&gpu.Kernel{Name: "orthogonal_panel", Source: library.Text("orthogonal_panel"),
	Workgroup: [3]int{128, 1, 1}, Shared: (64*4 + 128) * 4, Access: []gpu.Access{w}, DTypes: []gpu.DType{gpu.F32},
	Host: func(a gpu.Args) { ref.OrthogonalPanel(a.F(0), a.Int(0), a.Int(2), a.Int(3)) }})

// panelLoops is how often the first workgroup of orthogonal_panel walks a row, 32 columns at a time, at most.
const panelLoops = 2*16*2 + 10

// orthonormal makes the rows of x orthogonal, twice, for once leaves what rounding left, and
// of length 1. Rows that are zero or lie in those before them become random ones.
func orthonormal(p *gpu.Pass, x gpu.Tensor, draw Draw) {
	if !kernel.FitsWorkgroup(p, orthogonalPanel.Name, "columns", x.Cols(), 32, panelLoops) {
		return
	}
	filled(p, x, draw)
	for _, times := range []int{2, 1} { // Within a panel once is enough for rows that are nearly orthogonal.
		for first := 0; first < x.Rows(); first += ref.PanelRows {
			panel(p, x, first, times)
		}
	}
}

// panel takes what lies along the panel before row first from the rows from there on, and makes the first panel of them
// orthonormal, some times over.
func panel(p *gpu.Pass, x gpu.Tensor, first, times int) {
	n := x.Rows() - first
	p.Run(gpu.Call{Kernel: orthogonalPanel, Groups: [3]int{gpu.Groups(n, ref.PanelRows), 1, 1}, Tensors: p.Tensors(x),
		Params: p.Params(uint32(x.Rows()), uint32(x.Stride()/4), uint32(first), uint32(times)),
		Work:   float64(4 * ref.PanelRows * (n + times*ref.PanelRows) * x.Cols())})
}

// filled makes rows of length 1, those of zeros at random, and adds next to nothing at random to the others.
func filled(p *gpu.Pass, x gpu.Tensor, draw Draw) {
	unit(p, x)
	p.Run(gpu.Call{Kernel: fillRows, Groups: [3]int{x.Rows(), 1, 1}, Tensors: p.Tensors(x),
		Params: p.Params(uint32(x.Rows()), uint32(x.Cols()), uint32(x.Stride()), draw.Key, draw.Count),
		Work:   kernel.Traffic(8, x.Elements())})
}

// unit makes rows of length 1, but those of zeros.
func unit(p *gpu.Pass, x gpu.Tensor) {
	p.Run(gpu.Call{Kernel: unitRows, Groups: [3]int{x.Rows(), 1, 1}, Tensors: p.Tensors(x),
		Params: p.Params(uint32(x.Rows()), uint32(x.Stride()/4)), Work: kernel.Traffic(12, x.Elements())})
}
