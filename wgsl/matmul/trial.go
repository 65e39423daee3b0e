package matmul

import (
	"fmt"
	"math"
	"slices"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
)

// NewClass is that of an (m, n) product over k of the given transposes (nn, nt,
// tn) and types on a device with such limits.
func NewClass(transpose string, out, a, b gpu.DType, m, n, k int, l gpu.Limits) (Class, error) {
	if !slices.Contains([]string{"nn", "nt", "tn"}, transpose) {
		return Class{}, fmt.Errorf("transposes %q: choose nn, nt or tn", transpose)
	}
	if m < 1 || n < 1 || k < 1 {
		return Class{}, fmt.Errorf("a product of %d x %d x %d: every size must be 1 or more", m, n, k)
	}
	return Class{transpose, dtypes{out, a, b}, m, n, k}.Cut(l), nil
}

func ParseClass(word string) (Class, bool) {
	var c Class
	var types [3]string
	if n, err := fmt.Sscanf(word, "matmul %s %s %s %s %dx%dx%d", &c.Transpose, &types[0], &types[1], &types[2], &c.M,
		&c.N, &c.K); n != 7 || err != nil {
		return c, false
	}
	for i, name := range types {
		c.Types[i] = gpu.F32
		if name == gpu.BF16.String() {
			c.Types[i] = gpu.BF16
		}
	}
	return c, c.String() == word && slices.Contains([]string{"nn", "nt", "tn"}, c.Transpose) && min(c.M, c.N, c.K) > 0
}

// Variants are the tiles worth trying.
func (c Class) Variants(l gpu.Limits) []string {
	var list []string
	for _, t := range c.tiles(l) {
		list = append(list, t.String())
	}
	return list
}

// Kernel is that of a tile for the class's shape.
func (c Class) Kernel(variant string) *gpu.Kernel {
	of := func(t gpu.DType) *gpu.Tensor { return &gpu.Tensor{Spec: gpu.Spec{DType: t}} }
	x := c.piece(of(c.Types[0]), of(c.Types[1]), of(c.Types[2]))
	return x.variant(tileNames[variant]).kernel()
}

func (c Class) piece(out, a, b *gpu.Tensor) piece {
	return piece{transposed: transposedOf(c.Transpose), m: c.M, n: c.N, k: c.K, scale: 1, out: block{t: out},
		a: block{t: a}, b: block{t: b}}
}

// Trial makes a product of the class.
func (c Class) Trial(d gpu.Device) (*kernel.Trial, error) {
	return c.trial(d, func(p *gpu.Pass, x piece, variant string) {
		tile, ok := tileNames[variant]
		if !ok {
			p.Fail(fmt.Errorf("%s: no tile %q", c, variant))
			return
		}
		x.edges = minds(p.Limits())
		x.runTile(p, tile)
	})
}

// trial makes a product, which run records in a variant.
func (c Class) trial(d gpu.Device, run func(p *gpu.Pass, x piece, variant string)) (*kernel.Trial, error) {
	t := kernel.NewTrial(d, c.work())
	x, y := operands(transposedOf(c.Transpose), nil, nil, 0, 0, c.M, c.N, c.K)
	a, av := t.Tensor("a", c.Types[1], 1, x.rows, x.cols)
	b, bv := t.Tensor("b", c.Types[2], 2, y.rows, y.cols)
	out, _ := t.Tensor("out", c.Types[0], 3, c.M, c.N)
	t.Outputs = []gpu.Tensor{out}
	t.Run = func(p *gpu.Pass, variant string) { run(p, c.piece(&out, &a, &b), variant) }
	t.Check = func() error { return c.check(d, out, av, bv) }
	return t.Done()
}

// check compares some rows of out with the product in float64.
func (c Class) check(d gpu.Device, out gpu.Tensor, a, b []float32) error {
	across := transposedOf(c.Transpose)
	row := make([]float32, c.N)
	// Sums of k products below 0.25, each step rounded to 2^-24 of the sum; and once to
	// bf16.
	allowed := 1e-6 * math.Sqrt(float64(c.K))
	relative := 1e-5
	if c.Types[0] == gpu.BF16 {
		relative = 1.0 / 200
	}
	for _, i := range []int{0, c.M / 3, c.M - 1} {
		if err := gpu.ReadRows(d, out, i, row); err != nil {
			return err
		}
		for j := 0; j < c.N; j += max(1, c.N/61) {
			sum := 0.0
			for k := range c.K {
				x, y := i*c.K+k, k*c.N+j
				if across.a {
					x = k*c.M + i
				}
				if across.b {
					y = j*c.K + k
				}
				sum += float64(a[x]) * float64(b[y])
			}
			if diff := math.Abs(float64(row[j]) - sum); !(diff <= allowed+relative*math.Abs(sum)) {
				return fmt.Errorf("%s: output (%d, %d) is %g where %g is right", c, i, j, row[j], sum)
			}
		}
	}
	return nil
}
