package optim

import (
	"fmt"

	"steplm/gpu"
	"steplm/model"
	"steplm/wgsl"
	"steplm/wgsl/update"
)

// Fira is full-rank training under a low-rank constraint (arXiv 2410.01623), as xichen-fy/Fira
// 5c28b13 has it: GaLore, and what its projection does not show, scaled vector by vector as
// Adam scales what it shows: U = scale N P + S / l, S = f (G - scale R P), f = ||N|| / ||R||,
// where l limits the growth of S (see wgsl.LimitedFactors). W -= lr c U, then W *= 1 - lr wd.
// With a scale below 1, S holds a part of what the projection shows, too: so does the code.
type Fira struct{ GaLore }

// publishedFira is GaLore's, with a quarter of the scale from 1B on.
func publishedFira(m model.Config) (Fira, float64) {
	c, lr := publishedGaLore(m)
	if m.Hidden >= hidden1B {
		c.Scale = 0.0625
	}
	return Fira{c}, lr
}

// Name is the optimizer's in recipes.
func (Fira) Name() string { return "fira" }

// Title is its name for people.
func (Fira) Title() string { return "Fira" }

func (c Fira) String() string { return "Fira; " + c.rules().String() }

// Validate refuses what the optimizer is not defined for.
func (c Fira) Validate(s model.Storage) error { return c.validateAs("Fira", s) }

// Fits refuses a rank above what a linear has.
func (c Fira) Fits(m model.Config) error { return c.fits("Fira", m) }

// New makes the optimizer.
func (c Fira) New(maxNorm float64) Optimizer { return ByParameter(c.rules(), maxNorm) }

// FLOPs of Fira are GaLore's and one more projection back.
func (c Fira) FLOPs(p model.ParamSpec) float64 {
	if p.Role != model.RoleLinear {
		return 0
	}
	return c.GaLore.FLOPs(p) + 2*float64(c.Rank)*float64(p.Weight.Elements())
}

func (c Fira) rules() byRole { return c.around(fira{galore{GaLore: c.GaLore}}) }

// fira is the rule of linears.
type fira struct{ galore }

func (c fira) String() string {
	return fmt.Sprintf("%s; and the rest of the gradient, scaled alike, its growth limited to 1.01", c.galore)
}

func (c fira) Specs(s model.Storage, p model.ParamSpec) []gpu.Spec {
	return append(c.galore.Specs(s, p), planeSpec(p, "norm", 1))
}

func (c fira) Scratch(p model.ParamSpec) []gpu.Spec {
	w, n := p.Weight, vectors(p.Weight)
	return append(c.galore.Scratch(p), roomSpec("direction_squares", n), roomSpec("projected_squares", n),
		roomSpec("squares", n), roomSpec("column_sums", update.ColumnChunks(w.Rows()), w.Cols()),
		roomSpec("factors", n))
}

func (c fira) Update(p *gpu.Pass, u Update) {
	r, n, rest := c.direct(p, u)
	basis, norm := u.Planes[2], u.Planes[3]
	nSquares, rSquares, squares, sums := u.Scratch[8], u.Scratch[9], u.Scratch[10], u.Scratch[11]
	factors := u.Scratch[12]
	wgsl.Widen(p, rest, u.Param.Grad)
	unproject(p, rest, basis, r, -c.Scale, true)
	update.RowSquares(p, nSquares, n)
	update.RowSquares(p, rSquares, r)
	vectorSquares(p, squares, sums, rest)
	update.LimitedFactors(p, factors, norm, nSquares, rSquares, squares, u.Stats, false, u.Count == 1, 1)
	update.ScaleVectors(p, rest, factors, byVector(rest.Spec))
	unproject(p, rest, basis, n, c.Scale, true)
	applied(p, u, rest, gpu.Tensor{}, decayLast(u, u.Rates.LR*correction(c.Beta1, c.Beta2, u.Count), update.Plain))
}
