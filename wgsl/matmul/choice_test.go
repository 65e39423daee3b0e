package matmul

import (
	"testing"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
)

// The choice by device: workgroup tiles only where workgroup memory is worth
// using and large enough. DX12 says it is not: its compiler takes minutes.
func TestMatmulChoice(t *testing.T) {
	real := gpu.Limits{Shared: true, Invocations: 256, WorkgroupMemory: 16384}
	for _, c := range []struct {
		name   string
		change func(*gpu.Limits)
		m, n   int
		shared bool
		tm, tn int
		rows   int // invocations of a workgroup along m
	}{
		{"a GPU, large", func(*gpu.Limits) {}, 128, 128, true, 4, 4, 16},
		{"a GPU, few rows", func(*gpu.Limits) {}, 31, 128, false, 8, 8, 1},
		{"a GPU, tiny", func(*gpu.Limits) {}, 3, 5, false, 4, 4, 1},
		{"DX12, large", func(l *gpu.Limits) { l.Shared = false }, 4096, 4096, false, 8, 8, 8},
		{"little workgroup memory", func(l *gpu.Limits) { l.WorkgroupMemory = 4096 }, 128, 128, false, 8, 8, 8},
		{"small workgroups", func(l *gpu.Limits) { l.Invocations = 128 }, 128, 128, false, 8, 8, 8},
		{"a CPU, large", func(l *gpu.Limits) { l.Shared, l.CPU = false, true }, 128, 128, false, 16, 16, 1},
		{"a CPU, eight columns", func(l *gpu.Limits) { l.Shared, l.CPU = false, true }, 1024, 8, false, 16, 8, 8},
		{"a CPU, whole narrow blocks", func(l *gpu.Limits) { l.Shared, l.CPU = false, true }, 256, 48, false, 16, 16,
			8},
		{"a CPU, half the lanes' columns", func(l *gpu.Limits) { l.Shared, l.CPU = false, true }, 256, 64, false, 16,
			16, 2},
		{"a CPU, full but for 2 %", func(l *gpu.Limits) { l.Shared, l.CPU = false, true }, 256, 1376, false, 16, 16, 1},
		{"a CPU, few rows", func(l *gpu.Limits) { l.Shared, l.CPU = false, true }, 8, 768, false, 8, 16, 1},
		{"a CPU, a row", func(l *gpu.Limits) { l.Shared, l.CPU = false, true }, 1, 768, false, 4, 16, 1},
	} {
		l := real
		c.change(&l)
		for _, transpose := range []string{"nn", "nt", "tn"} {
			v := variant{tile: Class{transpose, dtypes{}, c.m, c.n, 64}.fallback(l), Transpose: transpose}
			if v.Slab > 0 != c.shared || v.TM != c.tm || v.TN != c.tn || v.GY != c.rows {
				t.Errorf("%s, %s: %+v", c.name, transpose, v)
			}
			if _, ok := tileNames[v.tile.String()]; !ok {
				t.Errorf("%s, %s: %s is not among the tiles that can be chosen", c.name, transpose, v.tile)
			}
			k := v.kernel()
			if k.Shared > 0 != c.shared || k.Shared > l.WorkgroupMemory || k.Invocations() > l.Invocations {
				t.Errorf("%s: kernel %s of %d invocations and %d bytes of workgroup memory does not fit", c.name,
					k.Name, k.Invocations(), k.Shared)
			}
		}
	}
}

// A trial is a part of a submission; rows and columns are cut last.
func TestMatmulClassIsCut(t *testing.T) {
	l := gpu.Limits{Budget: 4 * 2 * 512 * 512 * 512}
	for _, c := range []struct{ m, n, k, wantM, wantN, wantK int }{
		{512, 512, 512, 512, 512, 512}, {512, 1376, 512, 512, 1376, 128}, {1024, 1024, 1024, 1024, 1024, 128},
		{128, 32000, 288, 128, 4000, 144}, {32000, 288, 128, 2000, 288, 128}, {1, 1 << 24, 1, 1, 1 << 24, 1},
	} {
		got := Class{"nt", dtypes{}, c.m, c.n, c.k}.Cut(l)
		if got.work() > kernel.TrialWork(l) || got.M != c.wantM || got.N != c.wantN || got.K != c.wantK {
			t.Errorf("%d x %d x %d is cut to %v, %g operations", c.m, c.n, c.k, got, got.work())
		}
	}
}
