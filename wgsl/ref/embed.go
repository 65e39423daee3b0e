package ref

// EmbedForward copies row ids[i] - first of weight (v, c), the rows first to
// first + v - 1 of a vocabulary, to row i of out; other ids give zeros if first is 0
// and leave the row as it is if not.
func EmbedForward[F Float](out, weight []F, ids []uint32, rows, c, first, v int) {
	for row := range rows {
		y := out[row*c:][:c]
		if id := int(ids[row]) - first; id >= 0 && id < v {
			copy(y, weight[id*c:])
		} else if first == 0 {
			clear(y)
		}
	}
}

// EmbedBackward adds to row tokens[s] - first of dweight (v, c), the rows first to
// first + v - 1 of a vocabulary, the sum of dout's rows order[starts[s]:starts[s+1]],
// for each s below segments with a token among them.
func EmbedBackward[F Float](dweight, dout []F, tokens, starts, order []uint32, segments, c, first, v int) {
	for s, token := range tokens[:segments] {
		id := int(token) - first
		if id < 0 || id >= v {
			continue
		}
		for j := range c {
			sum := float64(dweight[id*c+j])
			for _, row := range order[starts[s]:starts[s+1]] {
				sum += float64(dout[int(row)*c+j])
			}
			dweight[id*c+j] = F(sum)
		}
	}
}
