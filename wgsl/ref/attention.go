package ref

import "math"

// AttentionShape is B sequences of T positions, H query heads over KV key-value
// heads (query head h reads key-value head h / (H / KV)), of size D each.
//
// Documents: a sequence is documents, and attention stays inside each. Then bounds (2 B, T)
// is, in its first B rows, where the document of each position begins, and in the others
// where it ends, which is the position behind its last.
type AttentionShape struct {
	B, T, H, KV, D int
	Documents      bool
}

// Group is the number of query heads that share a key-value head; 0 when the
// heads do not divide.
func (s AttentionShape) Group() int {
	if s.KV < 1 || s.H%s.KV != 0 {
		return 0
	}
	return s.H / s.KV
}

func (s AttentionShape) query(b, i, h int) int { return ((b*s.T+i)*s.H + h) * s.D }
func (s AttentionShape) key(b, j, h int) int   { return ((b*s.T+j)*s.KV + h/s.Group()) * s.D }
func (s AttentionShape) stat(b, h, i int) int  { return (b*s.H+h)*s.T + i }
func (s AttentionShape) scale() float64        { return 1 / math.Sqrt(float64(s.D)) }

// begin is the first key that a query attends to.
func begin[F Float](s AttentionShape, bounds []F, b, i int) int {
	if !s.Documents {
		return 0
	}
	return int(bounds[b*s.T+i])
}

// end is the position behind the last query that attends to a key.
func end[F Float](s AttentionShape, bounds []F, b, j int) int {
	if !s.Documents {
		return s.T
	}
	return int(bounds[(s.B+b)*s.T+j])
}

// AttentionForward sets out = softmax(scale q k') v over the keys up to each
// query's position, and lse to the logarithm of the softmax's denominator.
func AttentionForward[F Float](out, lse, q, k, v, bounds []F, s AttentionShape) {
	score, sum := make([]float64, s.T), make([]float64, s.D)
	for b := range s.B {
		for h := range s.H {
			for i := range s.T {
				qi := q[s.query(b, i, h):][:s.D]
				most := math.Inf(-1)
				first := begin(s, bounds, b, i)
				for j := first; j <= i; j++ {
					score[j] = s.scale() * Dot(qi, k[s.key(b, j, h):])
					most = max(most, score[j])
				}
				total := 0.0
				clear(sum)
				for j := first; j <= i; j++ {
					e := math.Exp(score[j] - most)
					total += e
					for x, vx := range v[s.key(b, j, h):][:s.D] {
						sum[x] += e * float64(vx)
					}
				}
				lse[s.stat(b, h, i)] = F(most + math.Log(total))
				for x := range sum {
					out[s.query(b, i, h)+x] = F(sum[x] / total)
				}
			}
		}
	}
}

// AttentionBackwardQuery sets dq from dout, and delta to the inner products of
// dout and out.
func AttentionBackwardQuery[F Float](dq, delta, dout, out, q, k, v, lse, bounds []F, s AttentionShape) {
	sum := make([]float64, s.D)
	for b := range s.B {
		for h := range s.H {
			for i := range s.T {
				at, stat := s.query(b, i, h), s.stat(b, h, i)
				g := dout[at:][:s.D]
				di := Dot(g, out[at:])
				delta[stat] = F(di)
				clear(sum)
				for j := begin(s, bounds, b, i); j <= i; j++ {
					kj := k[s.key(b, j, h):]
					p := math.Exp(s.scale()*Dot(q[at:][:s.D], kj) - float64(lse[stat]))
					ds := p * (Dot(g, v[s.key(b, j, h):]) - di)
					for x := range sum {
						sum[x] += s.scale() * ds * float64(kj[x])
					}
				}
				for x := range sum {
					dq[at+x] = F(sum[x])
				}
			}
		}
	}
}

// AttentionBackwardKeyValue sets dk and dv, summed over the query heads of each
// group.
func AttentionBackwardKeyValue[F Float](dk, dv, dout, q, k, v, lse, delta, bounds []F, s AttentionShape) {
	sumK, sumV := make([]float64, s.D), make([]float64, s.D)
	for b := range s.B {
		for n := range s.KV {
			for j := range s.T {
				at := s.key(b, j, n*s.Group())
				clear(sumK)
				clear(sumV)
				for h := n * s.Group(); h < (n+1)*s.Group(); h++ {
					for i := j; i < end(s, bounds, b, j); i++ {
						qi, g, stat := q[s.query(b, i, h):][:s.D], dout[s.query(b, i, h):][:s.D], s.stat(b, h, i)
						p := math.Exp(s.scale()*Dot(qi, k[at:]) - float64(lse[stat]))
						ds := p * (Dot(g, v[at:]) - float64(delta[stat]))
						for x := range sumK {
							sumK[x] += s.scale() * ds * float64(qi[x])
							sumV[x] += p * float64(g[x])
						}
					}
				}
				for x := range sumK {
					dk[at+x], dv[at+x] = F(sumK[x]), F(sumV[x])
				}
			}
		}
	}
}

// CachedShape is Rows queries, each of some sequence, over a cache of Positions keys and values; H, KV and D
// are as in AttentionShape. Window is how many positions a row attends to, itself the last; 0: all.
type CachedShape struct {
	Rows, H, KV, D int
	Positions      int
	Window         int
}

// Group is as in AttentionShape.
func (s CachedShape) Group() int { return AttentionShape{H: s.H, KV: s.KV}.Group() }

// CachedAttention sets out (Rows, H D) = softmax(scale q k') v for each row of q, over the keys and values (Positions,
// KV D) of its sequence. places (2, Rows) is where in the cache each row's sequence begins, and then where each row
// itself lies, which is the last position that it sees.
func CachedAttention[F Float](out, q, k, v []F, places []uint32, s CachedShape) {
	scale := 1 / math.Sqrt(float64(s.D))
	sum := make([]float64, s.D)
	for row := range s.Rows {
		first, last := int(places[row]), int(places[s.Rows+row])
		if s.Window > 0 {
			first = max(first, last+1-s.Window)
		}
		score := make([]float64, last+1-first)
		for h := range s.H {
			at := (row*s.H + h) * s.D
			key := func(j int) int { return ((first+j)*s.KV + h/s.Group()) * s.D }
			most := math.Inf(-1)
			for j := range score {
				score[j] = scale * Dot(q[at:][:s.D], k[key(j):])
				most = max(most, score[j])
			}
			total := 0.0
			clear(sum)
			for j := range score {
				e := math.Exp(score[j] - most)
				total += e
				for x, vx := range v[key(j):][:s.D] {
					sum[x] += e * float64(vx)
				}
			}
			for x := range sum {
				out[at+x] = F(sum[x] / total)
			}
		}
	}
}

// CacheStore copies the rows of k and v, of n elements or words each, to their places in keys and values, see
// CachedAttention.
func CacheStore[E any](keys, values, k, v []E, places []uint32, rows, n int) {
	for row := range rows {
		to := int(places[rows+row]) * n
		copy(keys[to:to+n], k[row*n:])
		copy(values[to:to+n], v[row*n:])
	}
}
