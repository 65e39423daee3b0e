package optim

import (
	"fmt"
	"math"

	"steplm/gpu"
	"steplm/model"
	"steplm/wgsl/matmul"
	"steplm/wgsl/update"
)

// Apollo is APOLLO (arXiv 2412.05270), as zhuhanqing/APOLLO 76b3472 has it: linears follow
// their gradients, scaled by as much as Adam scales them in a random projection, vector by
// vector. W -= lr c sqrt(scale) f G / l, then W *= 1 - lr wd; c is Adam's correction, l the
// limit on an update's growth (see wgsl.LimitedFactors).
//
// The projection is Gaussian with variance 1/rank, and follows from seed, tensor and number
// alone: it is made anew in every update, and never stored.
type Apollo struct {
	Projection
	Scale float64 `json:"update_scale"` // its root scales updates
	Beta1 float64 `json:"beta1"`
	Beta2 float64 `json:"beta2"`
	Eps   float64 `json:"eps"`
	Seed  uint32  `json:"seed"` // of the projections
}

// ApolloMini is APOLLO with one factor for a whole tensor: in rank 1 it keeps next to nothing.
type ApolloMini struct{ Apollo }

// publishedApollo has a quarter of the hidden size as its rank, as at 60M to 350M, and 256 from 1B on.
func publishedApollo(m model.Config) (Apollo, float64) {
	c := Apollo{Projection: Projection{Rank: quarter(m), Every: 200}, Scale: 1, Beta1: 0.9, Beta2: 0.999, Eps: 1e-6}
	if m.Hidden >= hidden1B {
		c.Rank = min(c.Rank, 256)
	}
	return c, 0.01
}

func publishedApolloMini(m model.Config) (ApolloMini, float64) {
	c, lr := publishedApollo(m)
	c.Rank, c.Scale = 1, 128
	return ApolloMini{c}, lr
}

// Name is the optimizer's in recipes.
func (Apollo) Name() string { return "apollo" }

// Title is its name for people.
func (Apollo) Title() string { return "APOLLO" }

func (c Apollo) String() string { return "APOLLO; " + c.rules(false).String() }

// Name is the optimizer's in recipes.
func (ApolloMini) Name() string { return "apollo-mini" }

// Title is its name for people.
func (ApolloMini) Title() string { return "APOLLO-Mini" }

func (c ApolloMini) String() string { return "APOLLO-Mini; " + c.rules(true).String() }

// Validate refuses what the optimizer is not defined for.
func (c Apollo) Validate(s model.Storage) error { return c.validate("APOLLO", s) }

// Validate refuses what the optimizer is not defined for.
func (c ApolloMini) Validate(s model.Storage) error { return c.validate("APOLLO-Mini", s) }

func (c Apollo) validate(name string, s model.Storage) error {
	return c.Projection.validate(name, c.Scale, c.adamW(), s)
}

// Fits refuses a rank above what a linear has.
func (c Apollo) Fits(m model.Config) error { return c.fits("APOLLO", m) }

// Fits refuses a rank above what a linear has.
func (c ApolloMini) Fits(m model.Config) error { return c.fits("APOLLO-Mini", m) }

// New makes the optimizer.
func (c Apollo) New(maxNorm float64) Optimizer { return ByParameter(c.rules(false), maxNorm) }

// New makes the optimizer.
func (c ApolloMini) New(maxNorm float64) Optimizer { return ByParameter(c.rules(true), maxNorm) }

// FLOPs of APOLLO are one projection of a hidden matrix's gradient onto so many rows.
func (c Apollo) FLOPs(p model.ParamSpec) float64 {
	if p.Role != model.RoleLinear {
		return 0
	}
	return 2 * float64(c.Rank) * float64(p.Weight.Rows()) * float64(p.Weight.Cols())
}

func (c Apollo) rules(mini bool) byRole {
	return aroundProjection(apollo{Apollo: c, mini: mini, draw: c.random}, c.adamW())
}

func (c Apollo) adamW() AdamW { return AdamW{c.Beta1, c.Beta2, c.Eps} }

// random draws projection number n of a tensor.
func (c Apollo) random(p *gpu.Pass, out gpu.Tensor, u Update, n int) {
	draw := u.draw()
	draw.Key ^= c.Seed * 0x9e3779b1
	draw.Count = uint32(n)
	update.Normals(p, out, 1/math.Sqrt(float64(c.Rank)), draw)
}

// apollo is the rule of linears.
type apollo struct {
	whole
	Apollo
	mini bool
	draw func(p *gpu.Pass, out gpu.Tensor, u Update, n int)
}

func (c apollo) String() string {
	what := "vectors"
	if c.mini {
		what = "the tensor"
	}
	return fmt.Sprintf("the gradient, %s scaled as in a random projection of rank %d, another every %d updates, times "+
		"the root of %g, betas %g and %g, epsilon %g, growth of updates limited to 1.01, decay of the new weight", what,
		c.Rank, c.Every, c.Scale, c.Beta1, c.Beta2, c.Eps)
}

// basis and projected are of other shapes for one factor: with few, long rows, so that rank 1
// takes no padding, P is (rank, shorter side) and R (rank, longer side).
func (c apollo) basis(w gpu.Spec) []int {
	if c.mini {
		return []int{c.Rank, shorter(w)}
	}
	return c.Projection.basis(w)
}

func (c apollo) projected(w gpu.Spec) []int {
	if c.mini {
		return []int{c.Rank, vectors(w)}
	}
	return c.Projection.projected(w)
}

func (c apollo) Specs(_ model.Storage, p model.ParamSpec) []gpu.Spec {
	shape := c.projected(p.Weight)
	return []gpu.Spec{planeSpec(p, "m", shape...), planeSpec(p, "v", shape...), planeSpec(p, "norm", 1)}
}

func (c apollo) Scratch(p model.ParamSpec) []gpu.Spec {
	w, shape, factors := p.Weight, c.projected(p.Weight), vectors(p.Weight)
	if c.mini {
		factors = 1
	}
	return []gpu.Spec{
		roomSpec("basis", c.basis(w)...), roomSpec("projected", shape...), roomSpec("direction", shape...),
		roomSpec("direction_squares", shape[0]), roomSpec("projected_squares", shape[0]),
		roomSpec("squares", vectors(w)), roomSpec("column_sums", update.ColumnChunks(w.Rows()), w.Cols()),
		roomSpec("factors", factors),
	}
}

func (c apollo) Update(p *gpu.Pass, u Update) {
	g, m, v, norm := u.Param.Grad, u.Planes[0], u.Planes[1], u.Planes[2]
	basis, r, n, nSquares, rSquares, squares, sums, factors := u.Scratch[0], u.Scratch[1], u.Scratch[2], u.Scratch[3],
		u.Scratch[4], u.Scratch[5], u.Scratch[6], u.Scratch[7]
	_, number := c.due(u)
	c.draw(p, basis, u, number)
	c.project(p, r, basis, g)
	update.Direction(p, m, v, n, r, u.Stats, moment(c.Beta1, c.Beta2, c.Eps))
	update.RowSquares(p, nSquares, n)
	update.RowSquares(p, rSquares, r)
	vectorSquares(p, squares, sums, g)
	update.LimitedFactors(p, factors, norm, nSquares, rSquares, squares, u.Stats, c.mini, u.Count == 1,
		math.Sqrt(c.Scale))
	by := byVector(g.Spec)
	if c.mini {
		by = update.ByTensor
	}
	applied(p, u, g, factors, decayLast(u, u.Rates.LR*correction(c.Beta1, c.Beta2, u.Count), by))
}

func (c apollo) project(p *gpu.Pass, r, basis, g gpu.Tensor) {
	switch shape := (matmul.Shape{M: r.Rows(), N: r.Cols(), K: shorter(g.Spec)}); {
	case !c.mini:
		project(p, r, basis, g)
	case tall(g.Spec):
		matmul.NT(p, r, basis, g, shape)
	default:
		matmul.NN(p, r, basis, g, shape)
	}
}
