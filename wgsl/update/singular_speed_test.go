//go:build unix

package update

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/wgsltest"
)

// What one refresh of a projection takes: of the tiny model's linears, and of a 368M model's, whose rank is 256.
// Matrices are of random numbers, the hardest there are for a subspace, and as a gradient's refresh has it the basis
// is that of another matrix. Where other programs run beside it, the processor's time is what counts.
func BenchmarkSingularBasis(b *testing.B) {
	d := gputest.Adapter(b)
	for _, c := range []struct{ m, n, rank int }{{96, 96, 24}, {256, 96, 24}, {96, 256, 24}, {1024, 1024, 256},
		{2736, 1024, 256}} {
		b.Run(fmt.Sprintf("%dx%d/rank=%d", c.m, c.n, c.rank), func(b *testing.B) {
			g := gputest.TensorOf(b, d, gpu.BF16, "g", wgsltest.Random(1, c.m*c.n, 1e-3), c.m, c.n)
			shape := []int{c.rank, c.n}
			if c.m < c.n {
				shape = []int{c.m, c.rank}
			}
			basis := gputest.Tensor(b, d, "basis", wgsltest.Random(2, shape[0]*shape[1], 1), shape...)
			var room []gpu.Tensor
			for _, s := range SingularRoom(c.rank, c.m, c.n) {
				room = append(room, gputest.Tensor(b, d, "room", nil, s...))
			}
			stats := gputest.Tensor(b, d, "stats", []float32{0, 1, 1, 0, 0, 0, 0, 0}, 8)
			refresh := func() {
				p := d.Begin("refresh")
				SingularBasis(p, basis, g, stats, room, false, Draw{Key: 3, Count: 4})
				if err := p.End(); err != nil {
					b.Fatal(err)
				}
				if err := d.Read(basis, 0, make([]uint32, 1)); err != nil {
					b.Fatal(err)
				}
			}
			refresh() // compiles what it runs
			begun := processorTime(b)
			for b.Loop() {
				refresh()
			}
			b.ReportMetric((processorTime(b)-begun).Seconds()*1e3/float64(b.N), "CPU-ms/op")
		})
	}
}

// processorTime is what this process has used, lavapipe's threads among it.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
