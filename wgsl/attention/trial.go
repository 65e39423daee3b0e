package attention

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
)

// Classes are those of the forward kernel and of the two backward ones, for
// heads of a type on a device with such limits.
func Classes(t gpu.DType, s Shape, l gpu.Limits) ([]Class, error) {
	if s.B < 1 || s.T < 1 || s.H < 1 || s.KV < 1 || s.Group() < 1 || s.D < 2 || s.D > maxHead || s.D%2 != 0 {
		return nil,
			fmt.Errorf("attention of %d sequences of %d positions with %d heads over %d of size %d: sizes must be "+
				"1 or more, the heads divide, a head's size be even and at most %d", s.B, s.T, s.H, s.KV, s.D, maxHead)
	}
	var list []Class
	for kind := range kinds {
		list = append(list, Class{kernelKind(kind), t, s}.cut(l))
	}
	return list, nil
}

func ParseClass(word string) (c Class, ok bool) {
	var name, dtype string
	whole := word
	word, c.Shape.Documents = strings.CutSuffix(word, documentsSuffix)
	if n, err := fmt.Sscanf(word, "%s %s d%d b%d h%d kv%d t%d", &name, &dtype, &c.Shape.D, &c.Shape.B, &c.Shape.H,
		&c.Shape.KV, &c.Shape.T); n != 7 || err != nil {
		return c, false
	}
	for kind, k := range kinds {
		if k.name == name {
			c.Kind, ok = kernelKind(kind), true
		}
	}
	if dtype == gpu.BF16.String() {
		c.DType = gpu.BF16
	}
	_, err := Classes(c.DType, c.Shape, gpu.Limits{Budget: math.Inf(1)})
	return c, ok && err == nil && c.String() == whole
}

// Variants are the blocks worth trying.
func (c Class) Variants(l gpu.Limits) []string {
	var list []string
	for _, b := range c.blocks(l) {
		list = append(list, b.String())
	}
	return list
}

// Kernel is that of a block.
func (c Class) Kernel(word string) *gpu.Kernel {
	return c.kernel(blockNames[word])
}

// Trial makes a call of the class. Its statistics are made up, which is as good for
// trying.
func (c Class) Trial(d gpu.Device) (*kernel.Trial, error) {
	t := kernel.NewTrial(d, c.work())
	var tensors []gpu.Tensor
	var values [][]float32
	for i, s := range c.specs() {
		x, v := t.Tensor(s.Name, s.DType, uint64(i+1), s.Rows(), s.Cols())
		tensors, values = append(tensors, x), append(values, v)
	}
	if at := strings.IndexAny(c.tensors(), "BD"); at >= 0 {
		if err := c.writeBounds(d, tensors[at], values[at]); err != nil {
			t.Free()
			return nil, err
		}
	}
	t.Outputs = c.outputs(tensors)
	t.Run = func(p *gpu.Pass, variant string) {
		b, ok := blockNames[variant]
		if !ok {
			p.Fail(fmt.Errorf("%s: no block %q", c, variant))
			return
		}
		c.run(p, b, tensors)
	}
	t.Check = func() error { return c.check(d, tensors, values) }
	return t.Done()
}

// checked is how many positions of the first sequence are compared.
const checked = 24

// check compares the first positions with the reference, which they alone decide; of
// the key-value kernel the last ones.
func (c Class) check(d gpu.Device, tensors []gpu.Tensor, values [][]float32) error {
	whole := c.Shape
	n := min(checked, whole.T)
	from := 0
	if kinds[c.Kind].perKey {
		from = whole.T - n
	}
	// window cuts a tensor down to those positions of the first sequence.
	window := func(letter byte, x []float32) []float32 {
		if !strings.ContainsRune(statistics, rune(letter)) {
			_, columns := tensorOf(rune(letter), whole)
			return slices.Clone(x[from*columns : (from+n)*columns])
		}
		stats, bounds := x, []float32(nil)
		if letter != 'S' {
			stats, bounds = cutBounds(x, whole)
		}
		var list []float32
		for at := 0; letter != 'B' && at < whole.H*whole.T; at += whole.T {
			list = append(list, stats[at+from:][:n]...)
		}
		for at := 0; at < len(bounds); at += whole.B * whole.T {
			for _, bound := range bounds[at+from:][:n] {
				list = append(list, min(max(bound-float32(from), 0), float32(n)))
			}
		}
		return list
	}
	layout := c.tensors()
	floats := make([][]float32, len(tensors))
	for i := range tensors {
		floats[i] = window(layout[i], values[i])
	}
	s := whole
	s.B, s.T = 1, n
	kinds[c.Kind].ref(floats, s)
	rel := 1e-4
	if c.DType == gpu.BF16 {
		rel = 1.0 / 100
	}
	for i, x := range tensors[:2] {
		all, err := gpu.ReadF32(d, x)
		if err != nil {
			return err
		}
		for at, got := range window(layout[i], all) {
			if want := floats[i][at]; !(math.Abs(float64(got-want)) <= 1e-4*math.Sqrt(
				float64(s.D))+rel*math.Abs(float64(want))) {
				return fmt.Errorf("%s: value %d of tensor %d is %g where %g is right", c, at, i, got, want)
			}
		}
	}
	return nil
}
