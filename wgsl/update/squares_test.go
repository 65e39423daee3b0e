package update

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/update/ref"
	"steplm/wgsl/wgsltest"
)

// squareShapes are rows and columns around every cutoff.
var squareShapes = [][2]int{{1, 1}, {1, 8}, {3, 5}, {63, 9}, {64, 64}, {65, 513}, {129, 17}, {600, 24}}

var squareTolerance = wgsltest.Tolerance{Abs: 1e-30, Rel: 1e-5}

func TestSquares(t *testing.T) {
	for _, shape := range squareShapes {
		rows, cols := shape[0], shape[1]
		for _, dtype := range []gpu.DType{gpu.F32, gpu.BF16} {
			t.Run(fmt.Sprint(shape, dtype), func(t *testing.T) {
				x := wgsltest.Stored(dtype, wgsltest.Random(1, rows*cols, 1))
				byRow, byColumn := make([]float32, rows), make([]float32, cols)
				partials := make([]float32, ColumnChunks(rows)*cols)
				ref.RowSquares(byRow, x, rows, cols)
				ref.ColumnSquares(partials, x, rows, cols)
				ref.SumRows(byColumn, partials, ColumnChunks(rows))
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					tx := gputest.TensorOf(t, d, dtype, "x", x, rows, cols)
					tr := wgsltest.Dirty(t, d, gpu.F32, "rows", rows)
					tc := wgsltest.Dirty(t, d, gpu.F32, "columns", cols)
					tp := wgsltest.Dirty(t, d, gpu.F32, "partials", ColumnChunks(rows), cols)
					run := func(p *gpu.Pass) { RowSquares(p, tr, tx); ColumnSquares(p, tc, tp, tx) }
					wgsltest.Run(t, d, run)
					wgsltest.Compare(t, "rows", gputest.Read(t, d, tr), byRow, squareTolerance)
					wgsltest.Compare(t, "columns", gputest.Read(t, d, tc), byColumn, squareTolerance)
					wgsltest.ZeroPadding(t, d, tc)
					wgsltest.Unchanged(t, d, tx, x)
					if rows == 600 { // in parts it is the same
						one, other := gputest.Read(t, d, tr), gputest.Read(t, d, tc)
						restore := gpu.RestrictBinding(d, 512*int64(tx.Bytes())/int64(rows))
						wgsltest.Run(t, d, run)
						restore()
						wgsltest.Compare(t, "rows in parts", gputest.Read(t, d, tr), one, wgsltest.Equal)
						wgsltest.Compare(t, "columns in parts", gputest.Read(t, d, tc), other, wgsltest.Equal)
					}
				})
			})
		}
	}
}

func TestRMSFactors(t *testing.T) {
	squares := []float32{0, 1e-30, 1e-18, 4, 900, 0, 16, 1, 2}
	for _, gradient := range []bool{false, true} {
		want := append([]float32(nil), squares...)
		ref.RMSFactors(want, []float32{0, 1, 0.25}, 4, gradient)
		if c := map[bool]float32{false: 1, true: 0.25}[gradient]; want[0] != c/1e-8 || want[3] != 1 {
			t.Fatalf("factors %v", want)
		}
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			f, stats := gputest.Tensor(t, d, "factors", squares, len(squares)), clipped(t, d, 1, 0.25)
			wgsltest.Run(t, d, func(p *gpu.Pass) { RMSFactors(p, f, stats, 4, gradient) })
			wgsltest.Compare(t, "factors", gputest.Read(t, d, f), want, wgsltest.Tolerance{Abs: 0, Rel: 1e-6})
		})
	}
}

func TestMomentum(t *testing.T) {
	for _, shape := range [][2]int{{1, 1}, {3, 5}, {5, 200}} {
		n := shape[0] * shape[1]
		for _, dtype := range []gpu.DType{gpu.F32, gpu.BF16} {
			m, g := wgsltest.Random(1, n, 1), wgsltest.Stored(dtype, wgsltest.Random(2, n, 1))
			now, next := make([]float32, n), make([]float32, n)
			ref.Momentum(now, m, g, []float32{0, 4, 0.25}, 0.9)
			ref.Momentum(next, now, g, []float32{0, 4, 0.25}, 0.9)
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				tm, tg := gputest.Tensor(t, d, "m", m, shape[:]...), gputest.TensorOf(t, d, dtype, "g", g, shape[:]...)
				out, stats := wgsltest.Dirty(t, d, gpu.F32, "out", shape[:]...), clipped(t, d, 4, 0.25)
				wgsltest.Run(t, d, func(p *gpu.Pass) {
					Momentum(p, tm, tg, stats, 0.9)
					Nesterov(p, out, tm, tg, stats, 0.9)
				})
				tol := wgsltest.Tolerance{Abs: 1e-7, Rel: 1e-6}
				wgsltest.Compare(t, "m", gputest.Read(t, d, tm), now, tol)
				wgsltest.Compare(t, "next", gputest.Read(t, d, out), next, tol)
				wgsltest.ZeroPadding(t, d, tm, out)
				bad := clipped(t, d, float32(math.NaN()), 0)
				was := gputest.Read(t, d, tm)
				wgsltest.Run(t, d, func(p *gpu.Pass) { Momentum(p, tm, tg, bad, 0.9) })
				wgsltest.Unchanged(t, d, tm, was)
			})
		}
	}
}

func TestSquaresRefuse(t *testing.T) {
	d := gpu.NewHost()
	x, short := gputest.Tensor(t, d, "x", nil, 9, 5), gputest.Tensor(t, d, "short", nil, 4)
	for want, record := range map[string]func(p *gpu.Pass){
		"squares_rows: tensor short is (1, 4) where (1, 9)":    func(p *gpu.Pass) { RowSquares(p, short, x) },
		"squares_columns: tensor short is (1, 4) where (1, 5)": func(p *gpu.Pass) { ColumnSquares(p, short, x, x) },
		"momentum: tensor short is (1, 4) where (9, 5)":        func(p *gpu.Pass) { Momentum(p, x, short, short, 1) },
		"apply_f32: 9 factors are needed for tensor x (9, 5), tensor short has 8": func(p *gpu.Pass) {
			ApplyF32(p, x, x, short, short, Applied{By: ByRow})
		},
	} {
		p := d.Begin("refuse")
		record(p)
		if err := p.End(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
