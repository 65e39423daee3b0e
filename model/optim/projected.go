package optim

import (
	"fmt"
	"math"

	"steplm/gpu"
	"steplm/model"
	"steplm/wgsl/matmul"
	"steplm/wgsl/update"
)

// Projection is what GaLore, Fira and APOLLO have in common: a gradient G (m, n) is seen
// through a matrix P on its shorter side, R = G P^T with P (rank, n) where m >= n, R = P^T G
// with P (m, rank) where not, and Adam's moments are R's. P is another one every so many
// updates of a tensor, from its first on; moments are kept over that.
//
// R, and what is made of it, lies with a row for each row of G or each column, those of the
// longer side, its vectors: (max(m, n), rank).
type Projection struct {
	Rank  int `json:"projection_rank"`
	Every int `json:"projection_every"` // updates
}

// quarter is the usual rank: a quarter of the hidden size, or less where a linear has less.
func quarter(m model.Config) int {
	rank := max(1, m.Hidden/4)
	for _, s := range m.LinearShapes() {
		rank = min(rank, max(1, min(s.Out, s.In)))
	}
	return rank
}

// validate refuses what is no projection, and what Adam in it, its updates times scale, is not defined for.
func (c Projection) validate(optimizer string, scale float64, a AdamW, s model.Storage) error {
	if c.Rank < 1 {
		return fmt.Errorf("%s with a projection of rank %d: it must be 1 or more", optimizer, c.Rank)
	}
	if c.Every < 1 {
		return fmt.Errorf("%s with another projection every %d updates: it must be 1 or more", optimizer, c.Every)
	}
	if err := unitInterval(optimizer, a.Beta1, a.Beta2); err != nil {
		return err
	}
	if err := above0(optimizer, "scale of updates", scale); err != nil {
		return err
	}
	if err := above0(optimizer, "epsilon", a.Eps); err != nil {
		return err
	}
	return notFlash8(optimizer, s)
}

// aroundProjection is a rule of linears, and for the rest AdamW as those optimizers' programs have it: epsilon outside
// the correction, decay after.
func aroundProjection(linear RoleRule, a AdamW) byRole {
	outer := adam{AdamW: a, outside: true, after: true, rate: 1}
	return byRole{linear: linear, embedding: outer, head: outer, vector: outer, lora: loraAdam}
}

// fits refuses a rank that a linear of the model does not have.
func (c Projection) fits(optimizer string, m model.Config) error {
	for _, s := range m.LinearShapes() {
		if most := min(s.Out, s.In); c.Rank > most {
			return fmt.Errorf("%s with a projection of rank %d: %s is %d x %d, choose at most %d", optimizer, c.Rank,
				s.Name, s.Out, s.In, most)
		}
	}
	return nil
}

// due reports whether the update begins another projection, and which it is, from 0 on.
func (c Projection) due(u Update) (bool, int) {
	return (u.Count-1)%c.Every == 0, (u.Count - 1) / c.Every
}

// tall reports whether m >= n: then vectors are rows, and P lies on the right.
func tall(w gpu.Spec) bool { return w.Rows() >= w.Cols() }

// vectors is the longer side, and shorter the other.
func vectors(w gpu.Spec) int { return max(w.Rows(), w.Cols()) }
func shorter(w gpu.Spec) int { return min(w.Rows(), w.Cols()) }

// basis is P's shape.
func (c Projection) basis(w gpu.Spec) []int {
	if tall(w) {
		return []int{c.Rank, w.Cols()}
	}
	return []int{w.Rows(), c.Rank}
}

// projected is R's.
func (c Projection) projected(w gpu.Spec) []int { return []int{vectors(w), c.Rank} }

// moments are the planes of Adam's.
func (c Projection) moments(p model.ParamSpec) []gpu.Spec {
	return []gpu.Spec{planeSpec(p, "m", c.projected(p.Weight)...), planeSpec(p, "v", c.projected(p.Weight)...)}
}

// project sets r to what p shows of g.
func project(pass *gpu.Pass, r, p, g gpu.Tensor) {
	shape := matmul.Shape{M: r.Rows(), N: r.Cols(), K: shorter(g.Spec)}
	if tall(g.Spec) {
		matmul.NT(pass, r, g, p, shape)
	} else {
		matmul.TN(pass, r, g, p, shape)
	}
}

// unproject sets out (m, n) to scale times what r is in full, or adds that to it.
func unproject(pass *gpu.Pass, out, p, r gpu.Tensor, scale float64, add bool) {
	shape := matmul.Shape{M: out.Rows(), N: out.Cols(), K: r.Cols(), Scale: float32(scale), Accumulate: add}
	if tall(out.Spec) {
		matmul.NN(pass, out, r, p, shape)
	} else {
		matmul.NT(pass, out, p, r, shape)
	}
}

// vectorSquares sets out (vectors) to the sums of squares of x's (m, n); sums has a row for
// each wgsl.ColumnChunks of m.
func vectorSquares(pass *gpu.Pass, out, sums, x gpu.Tensor) {
	if tall(x.Spec) {
		update.RowSquares(pass, out, x)
	} else {
		update.ColumnSquares(pass, out, sums, x)
	}
}

// byVector is what factors of vectors belong to.
func byVector(w gpu.Spec) update.By {
	if tall(w) {
		return update.ByRow
	}
	return update.ByColumn
}

// correction is Adam's, sqrt(1-b2^t) / (1-b1^t), where epsilon stands outside of it.
func correction(beta1, beta2 float64, count int) float64 {
	t := float64(count)
	return math.Sqrt(1-math.Pow(beta2, t)) / (1 - math.Pow(beta1, t))
}

// moment is the numbers of Adam's direction in a projection.
func moment(beta1, beta2, eps float64) update.AdamW {
	return update.AdamW{Beta1: float32(beta1), Beta2: float32(beta2), Eps: float32(eps)}
}
