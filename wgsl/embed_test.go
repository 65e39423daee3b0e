package wgsl

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
	"steplm/wgsl/wgsltest"
)

// segmentsOf groups the rows of ids by id, as the loader does.
func segmentsOf(ids []uint32) (tokens, starts, order []uint32) {
	for i := range ids {
		order = append(order, uint32(i))
	}
	slices.SortStableFunc(order, func(a, b uint32) int { return int(ids[a]) - int(ids[b]) })
	for i, row := range order {
		if i == 0 || ids[row] != tokens[len(tokens)-1] {
			tokens, starts = append(tokens, ids[row]), append(starts, uint32(i))
		}
	}
	return tokens, append(starts, uint32(len(ids))), order
}

// someIDs are random, with two outside the vocabulary where there is room.
func someIDs(rows, v int) []uint32 {
	g := rand.New(rand.NewPCG(9, 9))
	ids := make([]uint32, rows)
	for i := range ids {
		ids[i] = uint32(g.IntN(v))
	}
	if rows > 4 {
		ids[3] = uint32(v) // outside the vocabulary: no harm,
		ids[4] = 1 << 26   // even where the offset wraps to 0
	}
	return ids
}

func TestEmbed(t *testing.T) {
	for _, size := range [][3]int{{1, 1, 1}, {6, 5, 4}, {7, 8, 9}, {5, 63, 3}, {64, 64, 100}, {65, 65, 7},
		{1000, 130, 2}} {
		rows, c, v := size[0], size[1], size[2]
		ids := someIDs(rows, v)
		tokens, starts, order := segmentsOf(ids)
		for _, s := range kernel.Storages {
			weight, dout, dweight := wgsltest.Stored(s.Pair, wgsltest.Random(1, v*c, 1)), wgsltest.Stored(s.Pair,
				wgsltest.Random(2, rows*c, 1)), wgsltest.Stored(s.Grad, wgsltest.Random(3, v*c, 1))
			out, want := make([]float32, rows*c), slices.Clone(dweight)
			ref.EmbedForward(out, weight, ids, rows, c, 0, v)
			ref.EmbedBackward(want, dout, tokens, starts, order, len(tokens), c, 0, v)
			t.Run(fmt.Sprint(size, s.Suffix()), func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					tw, tg := gputest.TensorOf(t, d, s.Pair, "weight", weight, v, c), gputest.TensorOf(t, d, s.Pair,
						"dout", dout, rows, c)
					to, tdw := wgsltest.Dirty(t, d, s.Pair, "out", rows, c), gputest.TensorOf(t, d, s.Grad, "dweight",
						dweight, v, c)
					// In several parts, which must equal one.
					parts := gputest.TensorOf(t, d, s.Grad, "dweight in parts", dweight, v, c)
					ti, tt, ts, tr := gputest.Indices(t, d, "ids", ids), gputest.Indices(t, d, "tokens",
						tokens), gputest.Indices(t, d, "starts", starts), gputest.Indices(t, d, "order", order)
					wgsltest.Run(t, d, func(p *gpu.Pass) {
						EmbedForward(p, to, tw, ti)
						EmbedBackward(p, tdw, tg, tt, ts, tr, len(tokens))
						embedBackwardLimit(p, parts, tg, tt, ts, tr, len(tokens), 170)
					})
					tol := wgsltest.Tolerance{Abs: 3e-5, Rel: 1e-6}.In(s.Grad)
					wgsltest.Compare(t, "out", gputest.Read(t, d, to), out, wgsltest.Equal)
					wgsltest.Compare(t, "dweight", gputest.Read(t, d, tdw), want, tol)
					if s.Grad == gpu.BF16 { // every part rounds the sum so far, which may be larger
						tol.Abs = 0.25
					}
					wgsltest.Compare(t, "dweight in parts", gputest.Read(t, d, parts), want, tol)
					wgsltest.ZeroPadding(t, d, to, tdw, parts)
					wgsltest.Unchanged(t, d, tw, weight)
					wgsltest.Unchanged(t, d, tg, dout)
				})
			})
		}
	}
}

// A vocabulary in slices, since the device binds no more at once, gives the same
// as in one, bit for bit, for ids outside it too.
func TestEmbedInSlices(t *testing.T) {
	const rows, c, v = 41, 20, 301
	ids := someIDs(rows, v)
	tokens, starts, order := segmentsOf(ids)
	for _, s := range kernel.Storages {
		t.Run(s.Suffix()[1:], func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				tw, tg := gputest.TensorOf(t, d, s.Pair, "weight", wgsltest.Random(1, v*c, 1), v,
					c), gputest.TensorOf(t, d, s.Pair, "dout", wgsltest.Random(2, rows*c, 1), rows, c)
				ti, tt, ts, tr := gputest.Indices(t, d, "ids", ids), gputest.Indices(t, d, "tokens",
					tokens), gputest.Indices(t, d, "starts", starts), gputest.Indices(t, d, "order", order)
				var outs, grads [2]gpu.Tensor
				for i := range outs {
					outs[i], grads[i] = wgsltest.Dirty(t, d, s.Pair, "out", rows, c), gputest.TensorOf(t, d, s.Grad,
						"dweight", wgsltest.Random(3, v*c, 1), v, c)
					if i == 1 {
						defer gpu.RestrictBinding(d, 4096)() // of f32 40 rows
					}
					wgsltest.Run(t, d, func(p *gpu.Pass) {
						EmbedForward(p, outs[i], tw, ti)
						EmbedBackward(p, grads[i], tg, tt, ts, tr, len(tokens))
					})
				}
				wgsltest.SameWords(t, d, outs[1], outs[0])
				wgsltest.SameWords(t, d, grads[1], grads[0])
				if out := gputest.Read(t, d, outs[1]); slices.Equal(out[:c], make([]float32, c)) ||
					!slices.Equal(out[3*c:5*c], make([]float32, 2*c)) {
					t.Error("the first row must not be zero, rows 3 and 4 must")
				}
			})
		})
	}
}

func TestEmbedRefuses(t *testing.T) {
	d := gpu.NewHost()
	weight, out, ids := gputest.Tensor(t, d, "weight", nil, 100, 40), gputest.Tensor(t, d, "out", nil, 3,
		40), gputest.Indices(t, d, "ids", make([]uint32, 3))
	small := gputest.Tensor(t, d, "small", nil, 3, 39)
	for want, record := range map[string]func(p *gpu.Pass){
		"embed_forward: tensor small is (3, 39) where (3, 40) is needed": func(p *gpu.Pass) {
			EmbedForward(p, small, weight, ids)
		},
		"embed_backward: tensor small is (3, 39) where (3, 40) is needed": func(p *gpu.Pass) {
			EmbedBackward(p, weight, small, ids, ids, ids, 1)
		},
		"embed_backward: 3 segments of 3 tokens, 3 starts": func(p *gpu.Pass) {
			EmbedBackward(p, weight, out, ids, ids, ids, 3)
		},
		"embed_forward: no tensor": func(p *gpu.Pass) { EmbedForward(p, out, gpu.Tensor{}, ids) },
		"embed_forward: the device binds 1000 bytes, too few for rows of tensor weight (160 bytes)": func(p *gpu.Pass) {
			EmbedForward(p, out, weight, ids)
		},
	} {
		restore := gpu.RestrictBinding(d, 1000)
		p := d.Begin("refuse")
		record(p)
		restore()
		if err := p.End(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
