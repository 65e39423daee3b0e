package matmul

import (
	"fmt"
	"math"
	"slices"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
)

// Class is the products that share a choice of tile: those of a shape, and
// larger ones, which behave as it does.
type Class struct {
	Transpose string
	Types     dtypes
	M, N, K   int
}

func (x *piece) class(l gpu.Limits) Class {
	return Class{x.transposed.String(), x.types(), x.m, x.n, x.slice()}.Cut(l)
}

// leastDepth is the k that a class keeps: fewer would be mostly the beginning and the end.
const leastDepth = 128

// Cut cuts the shape down to what is tried out: k first, since rows and columns decide how
// well tiles fill them, then the longer of these.
func (c Class) Cut(l gpu.Limits) Class {
	for c.work() > kernel.TrialWork(l) {
		side := &c.M
		switch {
		case c.K >= 2*leastDepth:
			side = &c.K
		case c.N > c.M:
			side = &c.N
		}
		if *side <= gpu.RowPadding {
			break
		}
		*side = gpu.Padded(*side / 2)
	}
	return c
}

func (c Class) work() float64 { return 2 * float64(c.M) * float64(c.N) * float64(c.K) }

func (c Class) String() string {
	return fmt.Sprintf("matmul %s %s %s %s %dx%dx%d", c.Transpose, c.Types[0], c.Types[1], c.Types[2], c.M, c.N, c.K)
}

var (
	classNames kernel.Names[Class]
	tileWords  kernel.Names[tile]
)

// choose is the tile that the pass's device was told to run for the class, else the
// fallback.
func (c Class) choose(p *gpu.Pass, work float64) tile {
	class := classNames.Of(c)
	t, ok := tileNames[p.Chosen(class)]
	if !ok || !t.fits(p.Limits()) {
		t = c.fallback(p.Limits())
	}
	p.Use(class, tileWords.Of(t), work)
	return t
}

// cpuTiles are what is tried where memory is the CPU's cache and a workgroup of eight
// is a vector's lanes, over columns, rows or both; more than 16 x 16 sums take seconds to
// compile.
var cpuTiles = []tile{
	{16, 16, 8, 1, 4, 0}, {16, 16, 8, 1, 2, 0}, {16, 12, 8, 1, 4, 0}, {16, 8, 8, 1, 4, 0}, {16, 8, 8, 1, 8, 0},
	{8, 16, 8, 1, 4, 0}, {8, 8, 8, 1, 4, 0},
	{4, 16, 8, 1, 4, 0}, {16, 4, 8, 1, 4, 0}, {16, 4, 4, 2, 4, 0}, {16, 4, 2, 4, 4, 0}, {8, 4, 2, 4, 8, 0},
	{4, 4, 8, 1, 4, 0}, {8, 4, 8, 1, 4, 0}, {4, 8, 8, 1, 4, 0},
	{16, 16, 4, 2, 4, 0}, {16, 16, 2, 4, 4, 0}, {16, 16, 1, 8, 4, 0}, {16, 8, 1, 8, 4, 0}, {16, 8, 1, 8, 8, 0},
}

// gpuTiles are what is tried on GPUs: first the register tiles, which compile
// everywhere.
var gpuTiles = []tile{
	{8, 8, 8, 8, 4, 0}, {8, 8, 8, 8, 2, 0}, {4, 8, 8, 8, 4, 0}, {8, 4, 8, 8, 4, 0}, {4, 4, 8, 8, 4, 0},
	{4, 4, 16, 16, 4, 0},
	{8, 8, 16, 4, 4, 0}, {8, 8, 4, 16, 4, 0}, {4, 8, 8, 1, 4, 0}, {8, 8, 8, 1, 2, 0}, {4, 8, 8, 1, 2, 0},
	{8, 4, 8, 1, 2, 0}, {4, 4, 8, 1, 2, 0},
	{8, 4, 8, 8, 2, 0}, {4, 8, 8, 8, 2, 0}, {4, 4, 8, 8, 2, 0},
	{4, 4, 16, 16, 4, 16}, {4, 4, 8, 8, 4, 16}, {8, 8, 8, 8, 4, 8}, {8, 8, 8, 8, 4, 16}, {8, 4, 8, 16, 4, 16},
	{4, 8, 16, 8, 4, 16},
	{8, 4, 16, 16, 4, 16}, {8, 8, 16, 16, 4, 8}, {8, 8, 16, 16, 4, 16}, {4, 4, 16, 16, 4, 32},
}

// tileNames are all tiles that can be chosen.
var tileNames = func() map[string]tile {
	m := map[string]tile{}
	for _, t := range slices.Concat(cpuTiles, gpuTiles) {
		m[t.String()] = t
	}
	return m
}()

// tiles lists what is worth trying for the class, the fallback first: what fits the
// device, and does not compute twice what is needed and more.
func (c Class) tiles(l gpu.Limits) []tile {
	all := gpuTiles
	if l.CPU {
		all = cpuTiles
	}
	list := []tile{c.fallback(l)}
	for _, t := range all {
		m, n := t.block()
		wasteful := t.TM > 4 && m >= 2*gpu.Padded(c.M) || t.TN > 4 && n >= 2*gpu.Padded(c.N)
		if t.fits(l) && !wasteful && t != list[0] {
			list = append(list, t)
		}
	}
	return list
}

// fallback picks a tile by shape and device kind: workgroup tiles on GPUs; on a GPU that
// must do without, workgroups that fill its lanes, as long as there are rows for
// them; on a CPU as fallbackCPU says.
func (c Class) fallback(l gpu.Limits) tile {
	if l.CPU {
		return c.fallbackCPU()
	}
	if t := (tile{4, 4, 16, 16, 4, 16}); t.fits(l) && c.M >= 32 && c.N >= 32 {
		return t
	}
	side := func(n int) int {
		if n >= 8 {
			return 8
		}
		return 4
	}
	rows := 1
	if c.M >= 32 {
		rows = 8
	}
	return tile{side(c.M), side(c.N), 8, rows, 2, 0}
}

// cpuDefaults are the tiles that CPUs take untuned, and what each computes in a second
// where it is full, of what the first does: as measured on lavapipe, rounded. The first four
// differ in how the eight lanes of a vector are laid over rows and columns.
var cpuDefaults = []struct {
	tile
	rate float64
}{
	{tile{16, 16, 8, 1, 4, 0}, 1}, {tile{16, 16, 4, 2, 4, 0}, 0.95}, {tile{16, 16, 2, 4, 4, 0}, 0.95},
	{tile{16, 16, 1, 8, 4, 0}, 0.95},
	{tile{16, 8, 1, 8, 4, 0}, 0.8}, {tile{8, 16, 8, 1, 4, 0}, 0.8}, {tile{4, 16, 8, 1, 4, 0}, 0.6},
	{tile{4, 4, 8, 1, 4, 0}, 0.35},
}

// cpuCores should have a workgroup each: fewer workgroups take no less time.
const cpuCores = 4

// fallbackCPU takes the tile that needs the least time for all that it computes, what lies
// beyond the edges too.
func (c Class) fallbackCPU() (best tile) {
	least := math.Inf(1)
	for _, t := range cpuDefaults {
		m, n := t.block()
		groups := gpu.Groups(c.M, m) * gpu.Groups(gpu.Padded(c.N), n)
		if time := float64(max(groups, cpuCores)*m*n) / t.rate; time < least {
			best, least = t.tile, time
		}
	}
	return best
}
