package wgsl

import (
	"fmt"
	"math"
	"slices"

	"steplm/gpu"
)

// matmulClass is the products that share a choice of tile: those of a shape, and
// larger ones, which behave as it does.
type matmulClass struct {
	Transpose string
	Types     matmulTypes
	M, N, K   int
}

func (x *matmulPiece) class(l gpu.Limits) matmulClass {
	return matmulClass{x.transposed.String(), x.types(), x.m, x.n, x.slice()}.cut(l)
}

// trialWork is the most work of one call that is tried out: some of them fit into one
// submission, so that several variants get several turns in a second.
func trialWork(l gpu.Limits) float64 { return l.Budget / 4 }

// leastDepth is the k that a class keeps: fewer would be mostly the beginning and the end.
const leastDepth = 128

// cut cuts the shape down to what is tried out: k first, since rows and columns decide how
// well tiles fill them, then the longer of these.
func (c matmulClass) cut(l gpu.Limits) matmulClass {
	for c.work() > trialWork(l) {
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

func (c matmulClass) work() float64 { return 2 * float64(c.M) * float64(c.N) * float64(c.K) }

func (c matmulClass) String() string {
	return fmt.Sprintf("matmul %s %s %s %s %dx%dx%d", c.Transpose, c.Types[0], c.Types[1], c.Types[2], c.M, c.N, c.K)
}

var (
	matmulClassNames names[matmulClass]
	matmulTileWords  names[matmulTile]
)

// choose is the tile that the pass's device was told to run for the class, else the
// fallback.
func (c matmulClass) choose(p *gpu.Pass, work float64) matmulTile {
	class := matmulClassNames.of(c)
	t, ok := matmulTileNames[p.Chosen(class)]
	if !ok || !t.fits(p.Limits()) {
		t = c.fallback(p.Limits())
	}
	p.Use(class, matmulTileWords.of(t), work)
	return t
}

// cpuTiles are what is tried where memory is the CPU's cache and a workgroup of eight
// is a vector's lanes, over columns, rows or both; more than 16 x 16 sums take seconds to
// compile.
var cpuTiles = []matmulTile{
	{16, 16, 8, 1, 4, 0}, {16, 16, 8, 1, 2, 0}, {16, 12, 8, 1, 4, 0}, {16, 8, 8, 1, 4, 0}, {16, 8, 8, 1, 8, 0}, {8, 16, 8, 1, 4, 0}, {8, 8, 8, 1, 4, 0},
	{4, 16, 8, 1, 4, 0}, {16, 4, 8, 1, 4, 0}, {16, 4, 4, 2, 4, 0}, {16, 4, 2, 4, 4, 0}, {8, 4, 2, 4, 8, 0}, {4, 4, 8, 1, 4, 0}, {8, 4, 8, 1, 4, 0}, {4, 8, 8, 1, 4, 0},
	{16, 16, 4, 2, 4, 0}, {16, 16, 2, 4, 4, 0}, {16, 16, 1, 8, 4, 0}, {16, 8, 1, 8, 4, 0}, {16, 8, 1, 8, 8, 0},
}

// gpuTiles are what is tried on GPUs: first the register tiles, which compile
// everywhere.
var gpuTiles = []matmulTile{
	{8, 8, 8, 8, 4, 0}, {8, 8, 8, 8, 2, 0}, {4, 8, 8, 8, 4, 0}, {8, 4, 8, 8, 4, 0}, {4, 4, 8, 8, 4, 0}, {4, 4, 16, 16, 4, 0},
	{8, 8, 16, 4, 4, 0}, {8, 8, 4, 16, 4, 0}, {4, 8, 8, 1, 4, 0}, {8, 8, 8, 1, 2, 0}, {4, 8, 8, 1, 2, 0}, {8, 4, 8, 1, 2, 0}, {4, 4, 8, 1, 2, 0},
	{8, 4, 8, 8, 2, 0}, {4, 8, 8, 8, 2, 0}, {4, 4, 8, 8, 2, 0},
	{4, 4, 16, 16, 4, 16}, {4, 4, 8, 8, 4, 16}, {8, 8, 8, 8, 4, 8}, {8, 8, 8, 8, 4, 16}, {8, 4, 8, 16, 4, 16}, {4, 8, 16, 8, 4, 16},
	{8, 4, 16, 16, 4, 16}, {8, 8, 16, 16, 4, 8}, {8, 8, 16, 16, 4, 16}, {4, 4, 16, 16, 4, 32},
}

// matmulTileNames are all tiles that can be chosen.
var matmulTileNames = func() map[string]matmulTile {
	m := map[string]matmulTile{}
	for _, t := range slices.Concat(cpuTiles, gpuTiles) {
		m[t.String()] = t
	}
	return m
}()

// tiles lists what is worth trying for the class, the fallback first: what fits the
// device, and does not compute twice what is needed and more.
func (c matmulClass) tiles(l gpu.Limits) []matmulTile {
	all := gpuTiles
	if l.CPU {
		all = cpuTiles
	}
	list := []matmulTile{c.fallback(l)}
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
func (c matmulClass) fallback(l gpu.Limits) matmulTile {
	if l.CPU {
		return c.fallbackCPU()
	}
	if t := (matmulTile{4, 4, 16, 16, 4, 16}); t.fits(l) && c.M >= 32 && c.N >= 32 {
		return t
	}
	tile := func(n int) int {
		if n >= 8 {
			return 8
		}
		return 4
	}
	rows := 1
	if c.M >= 32 {
		rows = 8
	}
	return matmulTile{tile(c.M), tile(c.N), 8, rows, 2, 0}
}

// cpuDefaults are the tiles that CPUs take untuned, and what each computes in a second
// where it is full, of what the first does: as measured on lavapipe, rounded. The first four
// differ in how the eight lanes of a vector are laid over rows and columns.
var cpuDefaults = []struct {
	matmulTile
	rate float64
}{
	{matmulTile{16, 16, 8, 1, 4, 0}, 1}, {matmulTile{16, 16, 4, 2, 4, 0}, 0.95}, {matmulTile{16, 16, 2, 4, 4, 0}, 0.95}, {matmulTile{16, 16, 1, 8, 4, 0}, 0.95},
	{matmulTile{16, 8, 1, 8, 4, 0}, 0.8}, {matmulTile{8, 16, 8, 1, 4, 0}, 0.8}, {matmulTile{4, 16, 8, 1, 4, 0}, 0.6}, {matmulTile{4, 4, 8, 1, 4, 0}, 0.35},
}

// cpuCores should have a workgroup each: fewer workgroups take no less time.
const cpuCores = 4

// fallbackCPU takes the tile that needs the least time for all that it computes, what lies
// beyond the edges too.
func (c matmulClass) fallbackCPU() (best matmulTile) {
	least := math.Inf(1)
	for _, t := range cpuDefaults {
		m, n := t.block()
		groups := gpu.Groups(c.M, m) * gpu.Groups(gpu.Padded(c.N), n)
		if time := float64(max(groups, cpuCores)*m*n) / t.rate; time < least {
			best, least = t.matmulTile, time
		}
	}
	return best
}
