package ref

import (
	"math"
	"steplm/wgsl/ref"
)

// SubspaceStart sets rows of out to those of a basis, kept of them, and zeros; turned, the basis
// has a column for each.
func SubspaceStart(out, basis []float32, rows, cols, kept int, turned bool) {
	clear(out)
	for i := range min(rows, kept) {
		for j := range cols {
			if turned {
				out[i*cols+j] = basis[j*(len(basis)/cols)+i]
			} else {
				out[i*cols+j] = basis[i*cols+j]
			}
		}
	}
}

// FillRows sets rows of x that are zero to random numbers.
func FillRows(x []float32, rows int, d Draw) {
	cols := len(x) / rows
	for i := range rows {
		row := x[i*cols:][:cols]
		if ref.Dot(row, row) > 0 {
			continue
		}
		for j := range row {
			row[j] = 0
			for _, w := range Drawn(uint32(i*cols+j), d) {
				row[j] += float32(w>>8)/(1<<24) - 0.5
			}
		}
	}
}

// OrthogonalStep takes from the rows of x after one what lies along it.
func OrthogonalStep(x []float32, rows, row int) {
	cols := len(x) / rows
	a := x[row*cols:][:cols]
	squares := ref.Dot(a, a)
	if squares == 0 {
		return
	}
	for i := row + 1; i < rows; i++ {
		b := x[i*cols:][:cols]
		share := ref.Dot(a, b) / squares
		for j := range b {
			b[j] = float32(float64(b[j]) - share*float64(a[j]))
		}
	}
}

// UnitRows makes rows of x that are not zero of length 1.
func UnitRows(x []float32, rows int) {
	cols := len(x) / rows
	for i := range rows {
		row := x[i*cols:][:cols]
		if length := math.Sqrt(ref.Dot(row, row)); length > 0 {
			for j, v := range row {
				row[j] = float32(float64(v) / length)
			}
		}
	}
}

// JacobiRound turns pairs of rows of x until they are orthogonal, and those of y with them: those
// of a round of a round robin among an even number of players.
func JacobiRound(x, y []float32, rows, players, round int) {
	others := players - 1
	for pair := range players / 2 {
		a, b := (round+pair)%others, (round+others-pair)%others
		if pair == 0 {
			b = others
		}
		first, second := min(a, b), max(a, b)
		if second >= rows {
			continue
		}
		u, v := x[first*(len(x)/rows):][:len(x)/rows], x[second*(len(x)/rows):][:len(x)/rows]
		alpha, beta, gamma := ref.Dot(u, u), ref.Dot(v, v), ref.Dot(u, v)
		if math.Abs(gamma) <= 1e-7*math.Sqrt(alpha)*math.Sqrt(beta) {
			continue
		}
		zeta := (beta - alpha) / (2 * gamma)
		t := math.Copysign(1, zeta) / (math.Abs(zeta) + math.Sqrt(1+zeta*zeta))
		c := 1 / math.Sqrt(1+t*t)
		rotate(u, v, c, c*t)
		n := len(y) / rows
		rotate(y[first*n:][:n], y[second*n:][:n], c, c*t)
	}
}

func rotate(u, v []float32, c, s float64) {
	for j := range u {
		a, b := float64(u[j]), float64(v[j])
		u[j], v[j] = float32(c*a-s*b), float32(s*a+c*b)
	}
}

// Basis sets out to the kept rows of y of the largest squares, in their order, each with its
// entry of largest magnitude positive; turned, out has a column for each.
func Basis(out, y, squares []float32, rows, kept int, turned bool) {
	cols := len(y) / rows
	for i := range rows {
		place := 0
		for j, s := range squares {
			if s > squares[i] || s == squares[i] && j < i {
				place++
			}
		}
		if place >= kept {
			continue
		}
		row, at := y[i*cols:][:cols], 0
		for j, v := range row {
			if abs(v) > abs(row[at]) {
				at = j
			}
		}
		sign := float32(1)
		if row[at] < 0 {
			sign = -1
		}
		for j, v := range row {
			if turned {
				out[j*kept+place] = sign * v
			} else {
				out[place*cols+j] = sign * v
			}
		}
	}
}
