package wgsl

import (
	"math/rand/v2"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
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

func TestEmbed(t *testing.T) {
	for _, size := range [][3]int{{1, 1, 1}, {5, 63, 3}, {64, 64, 100}, {65, 65, 7}, {1000, 130, 2}} {
		rows, c, v := size[0], size[1], size[2]
		g := rand.New(rand.NewPCG(9, 9))
		ids := make([]uint32, rows)
		for i := range ids {
			ids[i] = uint32(g.IntN(v))
		}
		if rows > 4 {
			ids[3] = uint32(v) // outside the vocabulary: no harm,
			ids[4] = 1 << 26   // even where the offset wraps to 0
		}
		tokens, starts, order := segmentsOf(ids)
		weight, dout, dweight := random(1, v*c, 1), random(2, rows*c, 1), random(3, v*c, 1)
		out, want := make([]float32, rows*c), slices.Clone(dweight)
		ref.EmbedForward(out, weight, ids, rows, c, v)
		ref.EmbedBackward(want, dout, tokens, starts, order, len(tokens), c, v)
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			tw, tg, ti := gputest.Tensor(t, d, "weight", weight, v, c), gputest.Tensor(t, d, "dout", dout, rows, c), gputest.Indices(t, d, "ids", ids)
			to, tdw := gputest.Tensor(t, d, "out", nil, rows, c), gputest.Tensor(t, d, "dweight", dweight, v, c)
			// In several parts, which must equal one.
			parts := gputest.Tensor(t, d, "dweight in parts", dweight, v, c)
			tt, ts, tr := gputest.Indices(t, d, "tokens", tokens), gputest.Indices(t, d, "starts", starts), gputest.Indices(t, d, "order", order)
			run(t, d, func(p *gpu.Pass) {
				EmbedForward(p, to, tw, ti, rows, c)
				EmbedBackward(p, tdw, tg, tt, ts, tr, len(tokens), c)
				embedBackwardLimit(p, parts, tg, tt, ts, tr, len(tokens), c, 17)
			})
			compare(t, "out", gputest.Read(t, d, to), out, tolerance{1e-30, 0})
			compare(t, "dweight", gputest.Read(t, d, tdw), want, tolerance{3e-5, 1e-6})
			compare(t, "dweight in parts", gputest.Read(t, d, parts), want, tolerance{3e-5, 1e-6})
			unchanged(t, d, tw, weight)
			unchanged(t, d, tg, dout)
		})
	}
}
