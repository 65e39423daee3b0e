package data

import "slices"

// Ignored is a target that counts for no loss.
const Ignored = 0xFFFFFFFF

// Batch is B windows of T inputs and targets, row-major: row b*T+t. T may be less than a run's windows have, where
// they are padded and all of them are short. The embedding's backward adds up the rows of each distinct input id, one
// workgroup per id, from Tokens, Starts and Order.
type Batch struct {
	Inputs, Targets []uint32 // (B*T)
	// Begins (B*T) is where each row's document begins: the position in its window, 0 also where the
	// document began before the window. nil: every window is of one document.
	Begins  []uint32
	SeqLen  int      // T; 0: that of the run's windows
	Padding int      // rows that hold nothing
	Tokens  []uint32 // (n) the distinct input ids, ascending
	Starts  []uint32 // (n+1) offsets into Order: id i has Order[Starts[i]:Starts[i+1]]
	Order   []uint32 // (B*T) row numbers by id, ascending within an id
}

// Used is the number of rows that are no padding.
func (b Batch) Used() int { return len(b.Inputs) - b.Padding }

// Scored is the number of targets that count.
func (b Batch) Scored() (n int) {
	for _, target := range b.Targets {
		if target != Ignored {
			n++
		}
	}
	return n
}

// NewBatch computes the segments of inputs and targets, two slices of one
// length that the Batch keeps.
func NewBatch(inputs, targets []uint32) Batch {
	keys := make([]uint64, len(inputs)) // id, then row
	for row, id := range inputs {
		keys[row] = uint64(id)<<32 | uint64(row)
	}
	slices.Sort(keys)
	b := Batch{Inputs: inputs, Targets: targets, Order: make([]uint32, len(inputs))}
	for i, key := range keys {
		id := uint32(key >> 32)
		if n := len(b.Tokens); n == 0 || b.Tokens[n-1] != id {
			b.Tokens = append(b.Tokens, id)
			b.Starts = append(b.Starts, uint32(i))
		}
		b.Order[i] = uint32(key)
	}
	b.Starts = append(b.Starts, uint32(len(inputs)))
	return b
}
