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

// FillRows adds random numbers to rows of x, which are of length 1 or zeros: of 2^-24 of a row's length, of all of it
// where there are zeros.
func FillRows(x []float32, rows int, d Draw) {
	cols := len(x) / rows
	for i := range rows {
		row, share := x[i*cols:][:cols], math.Sqrt(3/float64(cols))
		if ref.Dot(row, row) > 0 {
			share *= 0x1p-24
		}
		for j := range row {
			sum := 0.0
			for _, w := range Drawn(uint32(i*cols+j), d) {
				sum += float64(w>>8)/(1<<24) - 0.5
			}
			row[j] = float32(float64(row[j]) + share*sum)
		}
	}
}

// PanelRows is the rows of a panel of OrthogonalPanel.
const PanelRows = 16

// OrthogonalPanel takes from the rows of x, from one on, what lies along the panel before it, and makes the first ones
// of them, a panel, orthonormal by modified Gram-Schmidt, some times over.
func OrthogonalPanel(x []float32, rows, first, times int) {
	cols := len(x) / rows
	row := func(i int) []float32 { return x[i*cols:][:cols] }
	for i := first; i < rows && first > 0; i++ {
		rest := make([]float64, cols)
		for j, v := range row(i) {
			rest[j] = float64(v)
		}
		for k := first - PanelRows; k < first; k++ {
			share := ref.Dot(row(k), row(i))
			for j, v := range row(k) {
				rest[j] -= share * float64(v)
			}
		}
		for j, v := range rest {
			row(i)[j] = float32(v)
		}
	}
	end := min(rows, first+PanelRows)
	for range times {
		for i := first; i < end; i++ {
			squares := ref.Dot(row(i), row(i))
			for k := i + 1; k < end && squares > 0; k++ {
				share := ref.Dot(row(i), row(k)) / squares
				for j, v := range row(i) {
					row(k)[j] = float32(float64(row(k)[j]) - share*float64(v))
				}
			}
		}
		UnitRows(x[first*cols:end*cols], end-first)
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

// Triangle clears x below its diagonal, divides it by the root of the squares' sum, and keeps its diagonal from zero.
func Triangle(x, squares []float32, rows int) {
	const least = 1e-14
	sum := 0.0
	for _, v := range squares {
		sum += float64(v)
	}
	inverse := 1.0
	if sum > 0 {
		inverse = 1 / math.Sqrt(sum)
	}
	for i := range rows {
		row := x[i*rows:][:rows]
		for j, v := range row {
			row[j] = float32(float64(v) * inverse)
		}
		clear(row[:i])
		if abs(row[i]) < least {
			row[i] = float32(math.Copysign(least, float64(row[i])))
		}
	}
}

// JacobiRows is the rows of a block of JacobiBlocks.
const JacobiRows = 16

// JacobiBlocks turns rows of x until they are orthogonal: each of a block with each of another, in round 0 those
// within them, too. Pairs of blocks are those of a round of a round robin among an even number.
func JacobiBlocks(x []float32, rows, blocks, round int) {
	cols := len(x) / rows
	for pair := range blocks / 2 {
		low, high := robin(blocks, round, pair)
		row := func(i int) int {
			if i < JacobiRows {
				return low*JacobiRows + i
			}
			return high*JacobiRows + i - JacobiRows
		}
		turns := JacobiRows
		if round == 0 {
			turns = 2*JacobiRows - 1
		}
		for turn := range turns {
			for i := range JacobiRows {
				p, q := i, JacobiRows+(i+turn)%JacobiRows
				if round == 0 {
					p, q = robin(2*JacobiRows, turn, i)
				}
				if p, q = row(p), row(q); p < rows && q < rows {
					orthogonal(x[p*cols:][:cols], x[q*cols:][:cols])
				}
			}
		}
	}
}

// robin is a pair of a round of a round robin, the lower player first: the last one of an even number stays, and the
// others move on by one in each round.
func robin(players, round, pair int) (low, high int) {
	others := players - 1
	a, b := (round+pair)%others, (round+others-pair)%others
	if pair == 0 {
		b = others
	}
	return min(a, b), max(a, b)
}

// orthogonal turns two rows until they are that.
func orthogonal(u, v []float32) {
	alpha, beta, gamma := ref.Dot(u, u), ref.Dot(v, v), ref.Dot(u, v)
	if math.Abs(gamma) <= 1e-7*math.Sqrt(alpha)*math.Sqrt(beta) {
		return
	}
	zeta := (beta - alpha) / (2 * gamma)
	t := math.Copysign(1, zeta) / (math.Abs(zeta) + math.Sqrt(1+zeta*zeta))
	c := 1 / math.Sqrt(1+t*t)
	rotate(u, v, c, c*t)
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
