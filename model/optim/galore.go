package optim

import (
	"fmt"

	"steplm/gpu"
	"steplm/model"
	"steplm/wgsl/update"
)

// GaLore is the gradient low-rank projection (arXiv 2403.03507), as jiaweizzhao/GaLore 2cc66f8
// has it: Adam on what the gradient's first singular vectors show of it. W -= lr c scale N P
// (or P N), then W *= 1 - lr wd; c is Adam's correction.
//
// The vectors are those of the gradient of a refresh, found on the device (see
// wgsl.SingularBasis); moments stay as they are under a new basis. Each vector's largest entry
// is positive: from the first refresh on results depend on that rule.
type GaLore struct {
	Projection
	Scale float64 `json:"update_scale"`
	Beta1 float64 `json:"beta1"`
	Beta2 float64 `json:"beta2"`
	Eps   float64 `json:"eps"`
}

// publishedGaLore has a quarter of the hidden size as its rank, as at 60M, 350M, 1B and 7B; the 7B run has fewer
// refreshes and half of the rate.
func publishedGaLore(m model.Config) (GaLore, float64) {
	c, lr := GaLore{Projection: Projection{Rank: quarter(m), Every: 200}, Scale: 0.25, Beta1: 0.9, Beta2: 0.999,
		Eps: 1e-6}, 0.01
	if m.Hidden >= hidden7B {
		c.Every, lr = 500, 0.005
	}
	return c, lr
}

// Name is the optimizer's in recipes.
func (GaLore) Name() string { return "galore" }

// Title is its name for people.
func (GaLore) Title() string { return "GaLore" }

func (c GaLore) String() string { return "GaLore; " + c.rules().String() }

// Validate refuses what the optimizer is not defined for.
func (c GaLore) Validate(s model.Storage) error { return c.validateAs("GaLore", s) }

func (c GaLore) validateAs(name string, s model.Storage) error {
	return c.Projection.validate(name, c.Scale, c.adamW(), s)
}

// Fits refuses a rank above what a linear has.
func (c GaLore) Fits(m model.Config) error { return c.fits("GaLore", m) }

// New makes the optimizer.
func (c GaLore) New(maxNorm float64) Optimizer { return ByParameter(c.rules(), maxNorm) }

// RefreshEvery is how many updates of a tensor lie between two that find its basis anew.
func (c GaLore) RefreshEvery() int { return c.Every }

// FLOPs of GaLore are a projection of a hidden matrix's gradient, one back, and a refresh's share.
func (c GaLore) FLOPs(p model.ParamSpec) float64 {
	if p.Role != model.RoleLinear {
		return 0
	}
	m, n := matrix(p.Weight)
	return 4*float64(c.Rank)*float64(m)*float64(n) + update.SingularFLOPs(c.Rank, m, n)/float64(c.Every)
}

func (c GaLore) rules() byRole { return c.around(galore{GaLore: c}) }

// around is a rule of linears with AdamW of the same numbers for the rest.
func (c GaLore) around(linear RoleRule) byRole { return aroundProjection(linear, c.adamW()) }

func (c GaLore) adamW() AdamW { return AdamW{c.Beta1, c.Beta2, c.Eps} }

// galore is the rule of linears.
type galore struct {
	whole
	GaLore
}

func (c galore) String() string {
	return fmt.Sprintf("Adam of the gradient in its first %d singular vectors, others every %d updates, times %g, "+
		"betas %g and %g, epsilon %g, decay of the new weight", c.Rank, c.Every, c.Scale, c.Beta1, c.Beta2, c.Eps)
}

func (c galore) Specs(_ model.Storage, p model.ParamSpec) []gpu.Spec {
	return append(c.moments(p), planeSpec(p, "basis", c.basis(p.Weight)...))
}

func (c galore) Scratch(p model.ParamSpec) []gpu.Spec {
	m, n := matrix(p.Weight)
	list := []gpu.Spec{roomSpec("projected", c.projected(p.Weight)...), roomSpec("direction", c.projected(p.Weight)...)}
	names := []string{"short", "long", "product", "triangle", "singular_squares", "update"}
	for i, shape := range update.SingularRoom(c.Rank, m, n) {
		list = append(list, roomSpec(names[i], shape...))
	}
	return list
}

// direct refreshes the basis where that is due, and gives the projected gradient, Adam's
// direction in the projection, and room in the parameter's shape.
func (c galore) direct(p *gpu.Pass, u Update) (r, n, room gpu.Tensor) {
	g, basis := u.Param.Grad, u.Planes[2]
	if due, number := c.due(u); due {
		draw := u.draw()
		draw.Count = uint32(number)
		update.SingularBasis(p, basis, g, u.Stats, u.Scratch[2:8], number == 0, draw)
	}
	r, n = u.Scratch[0], u.Scratch[1]
	project(p, r, basis, g)
	update.Direction(p, u.Planes[0], u.Planes[1], n, r, u.Stats, moment(c.Beta1, c.Beta2, c.Eps))
	return r, n, u.Scratch[7]
}

func (c galore) Update(p *gpu.Pass, u Update) {
	_, n, change := c.direct(p, u)
	unproject(p, change, u.Planes[2], n, c.Scale, false)
	applied(p, u, change, gpu.Tensor{}, decayLast(u, u.Rates.LR*correction(c.Beta1, c.Beta2, u.Count), update.Plain))
}
