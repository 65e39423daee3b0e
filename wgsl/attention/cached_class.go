package attention

import (
	"fmt"
	"math"
	"slices"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
)

// CachedClass is the calls of Cached or Decode that share a choice: those of a shape, with rows up to the next
// power of two. How long the cache is, and how much of it a row sees, differs from call to call.
type CachedClass struct {
	Way      cachedWay
	DType    gpu.DType
	Rows     int
	H, KV, D int
}

// trialKeys are those of a row in a trial, and in a guess at a call's work.
const trialKeys = 256

func cachedClassOf(way cachedWay, dtype gpu.DType, s CachedShape) CachedClass {
	rows := 1
	for rows < s.Rows {
		rows *= 2
	}
	return CachedClass{way, dtype, rows, s.H, s.KV, s.D}
}

func (c CachedClass) head() head { return head{c.D, c.DType} }

func (c CachedClass) String() string {
	return fmt.Sprintf("%s %s d%d r%d h%d kv%d", cachedWays[c.Way], c.DType, c.D, c.Rows, c.H, c.KV)
}

// call is that of a trial.
func (c CachedClass) call() cachedCall {
	return cachedCall{CachedShape{Rows: c.Rows, H: c.H, KV: c.KV, D: c.D, Positions: c.Rows + trialKeys - 1}, trialKeys}
}

// ParseCachedClass finds the class that a word stands for.
func ParseCachedClass(word string) (c CachedClass, ok bool) {
	var name, dtype string
	if n, err := fmt.Sscanf(word, "%s %s d%d r%d h%d kv%d", &name, &dtype, &c.D, &c.Rows, &c.H, &c.KV); n != 6 ||
		err != nil {
		return c, false
	}
	c.Way = cachedWay(slices.Index(cachedWays[:], name))
	if dtype == gpu.BF16.String() {
		c.DType = gpu.BF16
	}
	if c.Way < 0 || c.Rows < 1 || c.D < 2 || c.D > maxHead || c.D%2 != 0 || c.H < 1 || c.KV < 1 ||
		c.call().Group() < 1 || c.Way == spread && !spreads(c.D, c.DType) {
		return c, false
	}
	return c, c.String() == word
}

var (
	cachedNames      kernel.Names[CachedClass]
	cachedBlockNames kernel.Names[cachedBlock]
)

// blocks lists what is worth trying, the fallback first.
func (c CachedClass) blocks(l gpu.Limits) []cachedBlock {
	list := []cachedBlock{{64, true}, {32, true}, {128, true}, {256, true}}
	switch {
	case c.Way == spread:
		list = []cachedBlock{{spreadLanes, false}, {2 * spreadLanes, false}, {4 * spreadLanes, false}}
	case l.CPU:
		list = []cachedBlock{{8, false}, {8, true}}
	}
	return slices.DeleteFunc(list, func(b cachedBlock) bool { return !c.fits(b, l) })
}

// fits reports whether a device can run a block, and compiles it in reasonable time; the smallest it is taken to.
func (c CachedClass) fits(b cachedBlock, l gpu.Limits) bool {
	return b.Size <= spreadLanes || b.Size <= l.Invocations &&
		cachedVariant{b, c.head(), c.Way}.shared() <= kernel.MostMemory(l)
}

// choose is the block that the pass's device was told to run for the class, else the fallback.
func (c CachedClass) choose(p *gpu.Pass, work float64) cachedBlock {
	return kernel.Choose(p, cachedNames.Of(c), c.blocks(p.Limits()), &cachedBlockNames, work)
}

// Variants are the blocks worth trying.
func (c CachedClass) Variants(l gpu.Limits) (list []string) {
	for _, b := range c.blocks(l) {
		list = append(list, b.String())
	}
	return list
}

// block is the one of a word.
func (c CachedClass) block(word string) (cachedBlock, bool) {
	for _, cpu := range []bool{false, true} {
		for _, b := range c.blocks(gpu.Limits{CPU: cpu, Shared: true, Invocations: math.MaxInt,
			WorkgroupMemory: math.MaxInt}) {
			if b.String() == word {
				return b, true
			}
		}
	}
	return cachedBlock{}, false
}

// Kernel is that of a block.
func (c CachedClass) Kernel(word string) *gpu.Kernel {
	b, _ := c.block(word)
	return cachedVariant{b, c.head(), c.Way}.kernel()
}

// Trial makes a call of the class: row i begins at position i.
func (c CachedClass) Trial(d gpu.Device) (*kernel.Trial, error) {
	s := c.call()
	t := kernel.NewTrial(d, s.work())
	var tensors []gpu.Tensor
	var values [][]float32
	for i, rows := range []int{s.Rows, s.Rows, s.Positions, s.Positions} {
		columns := s.H * s.D
		if i > 1 {
			columns = s.KV * s.D
		}
		x, v := t.Tensor(fmt.Sprintf("attention %d", i), c.DType, uint64(i+1), rows, columns)
		tensors, values = append(tensors, x), append(values, v)
	}
	places := make([]uint32, 2*s.Rows)
	for row := range s.Rows {
		places[row], places[s.Rows+row] = uint32(row), uint32(row+s.keys-1)
	}
	tensors = append(tensors, t.Indices("places", places, 2, s.Rows))
	t.Outputs = tensors[:1]
	t.Run = func(p *gpu.Pass, variant string) {
		b, ok := c.block(variant)
		if !ok {
			p.Fail(fmt.Errorf("%s: no block %q", c, variant))
			return
		}
		c.run(p, b, s, tensors)
	}
	t.Check = func() error {
		one := s.CachedShape
		one.Rows = 1
		want := make([]float32, s.H*s.D)
		ref.CachedAttention(want, values[1][:s.H*s.D], values[2], values[3], []uint32{0, uint32(s.keys - 1)}, one)
		got := make([]float32, len(want))
		if err := gpu.ReadRows(d, tensors[0], 0, got); err != nil {
			return err
		}
		rel := 1e-4
		if c.DType == gpu.BF16 {
			rel = 1.0 / 100
		}
		for i, w := range want {
			if !(math.Abs(float64(got[i]-w)) <= 1e-4*math.Sqrt(float64(s.D))+rel*math.Abs(float64(w))) {
				return fmt.Errorf("%s: output %d is %g where %g is right", c, i, got[i], w)
			}
		}
		return nil
	}
	return t.Done()
}
