package optim

import (
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"steplm/data"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
)

// What a step costs its recording goroutine, for 24 layers so small that a device
// has next to nothing to do: on a device that only counts, which leaves what is above
// package gpu, and on the preferred adapter. The CPU time is that of one thread, so
// that lavapipe's own threads do not count; waits are not measured.
func BenchmarkStepRecording(b *testing.B) {
	c := model.Config{Hidden: 32, FFN: 64, Layers: 24, Heads: 2, KVHeads: 2, Vocab: 64, MaxSeqLen: 8, NormEps: 1e-5,
		RopeTheta: 10000}
	b.Run("dry", func(b *testing.B) { recordSteps(b, gpu.NewDry(gpu.NewHost().Limits()), c) })
	d := gputest.Adapter(b)
	b.Run("gpu", func(b *testing.B) { recordSteps(b, d, c) })
}

func recordSteps(b *testing.B, d gpu.Device, c model.Config) {
	m, err := model.New(d, model.Plain(c, c.Layers))
	if err != nil {
		b.Fatal(err)
	}
	defer m.Free()
	if err := m.Init(1, nil); err != nil {
		b.Fatal(err)
	}
	size := model.Size{Batch: 1, SeqLen: c.MaxSeqLen}
	a, err := model.NewActivations(d, m.Layout, size)
	if err != nil {
		b.Fatal(err)
	}
	defer a.Free()
	o := adamw.New()
	if err := o.Allocate(m); err != nil {
		b.Fatal(err)
	}
	defer o.Free()
	rows := size.Rows()
	ids := make([]uint32, rows)
	for i := range ids {
		ids[i] = uint32(i)
	}
	batch := data.NewBatch(ids, ids)
	if err := a.Load(batch.Inputs, batch.Targets, batch.Begins, batch.Tokens, batch.Starts, batch.Order); err != nil {
		b.Fatal(err)
	}
	step := func() (cpu, wall time.Duration) {
		begun, start := threadTime(b), time.Now()
		p := d.Begin("train")
		m.Forward(p, a)
		m.Backward(p, a, model.Gradients{Scale: 1 / float32(rows)})
		if err := p.End(); err != nil {
			b.Fatal(err)
		}
		p = d.Begin("update")
		o.Step(p, a.Stats, func(*model.Param) Rates { return Rates{LR: 1e-3} })
		if err := p.End(); err != nil {
			b.Fatal(err)
		}
		cpu, wall = threadTime(b)-begun, time.Since(start)
		if _, err := gpu.ReadF32(d, a.Stats); err != nil {
			b.Fatal(err)
		}
		return cpu, wall
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	step() // compiles
	best, bestWall := time.Hour, time.Hour
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		cpu, wall := step()
		best, bestWall = min(best, cpu), min(bestWall, wall)
	}
	b.ReportMetric(best.Seconds()*1e3, "best-cpu-ms/step")
	b.ReportMetric(bestWall.Seconds()*1e3, "best-wall-ms/step")
	if dry, ok := d.(*gpu.Dry); ok {
		b.ReportMetric(float64(len(dry.Calls()))/float64(b.N+1), "calls/step")
	}
}

// threadTime is the CPU time of the calling thread.
func threadTime(b *testing.B) time.Duration {
	const clock = 3 // CLOCK_THREAD_CPUTIME_ID
	var t syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		b.Fatal(errno)
	}
	return time.Duration(t.Nano())
}
