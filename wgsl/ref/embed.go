package ref

// EmbedForward copies row ids[i] of weight (v, c) to row i of out; zeros for an
// id of v or more.
func EmbedForward[F Float](out, weight []F, ids []uint32, rows, c, v int) {
	for row := range rows {
		clear(out[row*c:][:c])
		if id := int(ids[row]); id < v {
			copy(out[row*c:][:c], weight[id*c:])
		}
	}
}

// EmbedBackward adds to row tokens[s] of dweight (v, c) the sum of dout's rows
// order[starts[s]:starts[s+1]], for each s below segments with a token below v.
func EmbedBackward[F Float](dweight, dout []F, tokens, starts, order []uint32, segments, c, v int) {
	for s, token := range tokens[:segments] {
		if int(token) >= v {
			continue
		}
		for j := range c {
			sum := float64(dweight[int(token)*c+j])
			for _, row := range order[starts[s]:starts[s+1]] {
				sum += float64(dout[int(row)*c+j])
			}
			dweight[int(token)*c+j] = F(sum)
		}
	}
}
