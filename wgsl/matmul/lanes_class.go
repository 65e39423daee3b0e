package matmul

import (
	"fmt"
	"slices"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
)

// LanesClass is the products of few rows that share a choice of lanes: those of a shape, of which larger ones behave as
// it does, with rows up to the next power of two.
type LanesClass struct{ Class }

func (x *piece) lanesClass(l gpu.Limits) LanesClass {
	rows := 1
	for rows < x.m {
		rows *= 2
	}
	return LanesClass{Class{"nt", x.types(), rows, x.n, x.k}.Cut(l)}
}

func (c LanesClass) String() string {
	return fmt.Sprintf("matmul_lanes %s %s %s %dx%dx%d", c.Types[0], c.Types[1], c.Types[2], c.M, c.N, c.K)
}

// ParseLanesClass finds the class that a word stands for.
func ParseLanesClass(word string) (LanesClass, bool) {
	var c LanesClass
	var types [3]string
	if n, err := fmt.Sscanf(word, "matmul_lanes %s %s %s %dx%dx%d", &types[0], &types[1], &types[2], &c.M, &c.N,
		&c.K); n != 6 || err != nil {
		return c, false
	}
	c.Transpose = "nt"
	for i, name := range types {
		c.Types[i] = gpu.F32
		if name == gpu.BF16.String() {
			c.Types[i] = gpu.BF16
		}
	}
	return c, c.String() == word && min(c.M, c.N, c.K) > 0
}

var (
	lanesNames kernel.Names[LanesClass]
	lanesWords kernel.Names[lanes]
)

// lanesList are what is tried.
var lanesList = []lanes{{1, 64}, {1, 32}, {1, 128}, {1, 256}, {2, 64}, {2, 32}, {2, 128}, {4, 64}, {4, 32}, {4, 128},
	{8, 64}, {8, 32}, {8, 128}}

// list is what is worth trying for the class, the fallback first: the first that has as many rows as there are, or as
// near to that as the device allows.
func (c LanesClass) list(l gpu.Limits) []lanes {
	best := lanes{0, outputLanes}
	for _, t := range lanesList {
		if t.fits(l) && best.Rows < t.Rows && t.Rows <= c.M {
			best = t
		}
	}
	list := []lanes{best}
	for _, t := range lanesList {
		if t.fits(l) && t != list[0] && t.Rows < 2*c.M {
			list = append(list, t)
		}
	}
	return list
}

// choose is what the pass's device was told to run for the class, else the fallback.
func (c LanesClass) choose(p *gpu.Pass, work float64) lanes {
	return kernel.Choose(p, lanesNames.Of(c), c.list(p.Limits()), &lanesWords, work)
}

// Variants are the lanes worth trying.
func (c LanesClass) Variants(l gpu.Limits) (list []string) {
	for _, t := range c.list(l) {
		list = append(list, t.String())
	}
	return list
}

// lanesOf is that of a word.
func lanesOf(word string) (lanes, bool) {
	at := slices.IndexFunc(lanesList, func(t lanes) bool { return t.String() == word })
	if at < 0 {
		return lanes{1, outputLanes}, false
	}
	return lanesList[at], true
}

// Kernel is that of lanes for the class's types.
func (c LanesClass) Kernel(word string) *gpu.Kernel {
	t, _ := lanesOf(word)
	return lanesVariant{lanes: t, Types: c.Types}.kernel()
}

// Trial makes a product of the class.
func (c LanesClass) Trial(d gpu.Device) (*kernel.Trial, error) {
	return c.trial(d, func(p *gpu.Pass, x piece, word string) {
		t, ok := lanesOf(word)
		if !ok {
			p.Fail(fmt.Errorf("%s: no lanes %q", c, word))
			return
		}
		x.runLanes(p, t)
	})
}
