package examples

import (
	"slices"

	"steplm/data"
	"steplm/data/internal/permute"
)

// Layout is how examples become windows.
type Layout struct {
	BatchSize int // B, windows of a micro-batch
	SeqLen    int // T, inputs of a window
	GradAccum int // micro-batches of a step
	Pack      bool
	Seed      uint64 // of the order
	Shuffle   bool   // else the examples' own order, epoch after epoch
}

// step is how many windows a step has.
func (l Layout) step() int { return l.BatchSize * l.GradAccum }

// What permutation orders.
const (
	exampleOrder = 0
	batchOrder   = 1 // and upwards: of the micro-batches of each stretch
)

// stretch is how many steps' padded examples are sorted by length together.
const stretch = 32

// epoch lists the windows of an epoch, each the numbers of its examples, in the order in which they are handed out. It
// is a function of the set, the layout and the epoch alone, so that a cursor stores none of it.
func (l Layout) epoch(s *Set, epoch int) [][]int {
	order := make([]int, len(s.Examples))
	for i := range order {
		order[i] = i
	}
	if l.Shuffle {
		order = permute.Permutation(l.Seed, epoch, exampleOrder, len(order))
	}
	if l.Pack && l.Shuffle {
		return pack(s.Examples, order, l.SeqLen, openWindows)
	}
	if l.Pack {
		return pack(s.Examples, order, l.SeqLen, 1)
	}
	if l.Shuffle {
		l.sortByLength(s.Examples, order, epoch)
	}
	windows := make([][]int, len(order))
	for i := range order {
		windows[i] = order[i : i+1]
	}
	return windows
}

// openWindows is how many windows are filled at a time where the examples' order is drawn anyway: an example goes into
// the first of them that has room, so that few positions stay empty.
const openWindows = 64

// pack fills windows with whole examples, so many windows at a time. One that none of them has room for begins another,
// and the oldest is full. With one at a time examples stay in order.
func pack(all []Example, order []int, seqLen, most int) [][]int {
	var windows [][]int
	var used []int // of each window
	for _, x := range order {
		n := len(all[x].IDs)
		at := max(0, len(windows)-most)
		for at < len(windows) && used[at]+n > seqLen {
			at++
		}
		if at == len(windows) {
			windows, used = append(windows, nil), append(used, 0)
		}
		windows[at], used[at] = append(windows[at], x), used[at]+n
	}
	return windows
}

// sortByLength brings examples of about one length together, so that a micro-batch's windows are short where all its
// examples are: those of some steps are sorted, cut into micro-batches, and the micro-batches shuffled.
func (l Layout) sortByLength(all []Example, order []int, epoch int) {
	for at, n := 0, int64(0); at < len(order); at, n = at+stretch*l.step(), n+1 {
		part := order[at:min(len(order), at+stretch*l.step())]
		slices.SortStableFunc(part, func(a, b int) int { return len(all[b].IDs) - len(all[a].IDs) })
		var batches [][]int
		for b := range slices.Chunk(slices.Clone(part), l.BatchSize) {
			batches = append(batches, b)
		}
		whole := len(part) / l.BatchSize // A last one with fewer stays the last.
		to := part[:0]
		for _, b := range permute.Permutation(l.Seed, epoch, batchOrder+n, whole) {
			to = append(to, batches[b]...)
		}
		for _, b := range batches[whole:] {
			to = append(to, b...)
		}
	}
}

// Steps is how many optimizer steps so many epochs have. An epoch's last step has fewer examples where they do not fill
// it.
func (l Layout) Steps(s *Set, epochs int) (n int) {
	for epoch := range epochs {
		n += l.steps(len(l.epoch(s, epoch)))
		if !l.Pack {
			return n * epochs // whatever their order
		}
	}
	return n
}

// steps is how many steps so many windows fill.
func (l Layout) steps(windows int) int { return (windows + l.step() - 1) / l.step() }

// lengthStep is what lengths of padded windows are rounded up to, so that few of them occur.
const lengthStep = 64

// length is how many positions the windows of a micro-batch have: all, or padded as many as its longest example needs.
func (l Layout) length(all []Example, windows [][]int) int {
	if l.Pack {
		return l.SeqLen
	}
	longest := 1
	for _, w := range windows {
		for _, x := range w {
			longest = max(longest, len(all[x].IDs))
		}
	}
	return min(l.SeqLen, (longest+lengthStep-1)/lengthStep*lengthStep)
}

// InOrder lists the windows of a set in its own order, each the numbers of its examples.
func (l Layout) InOrder(s *Set) [][]int {
	l.Shuffle = false
	return l.epoch(s, 0)
}

// Whole is Batch with windows of all positions, whatever their examples need.
func (l Layout) Whole(all []Example, windows [][]int) data.Batch {
	return l.batch(all, windows, l.SeqLen)
}

// Batch makes a micro-batch of windows, at most BatchSize of them: others are nothing but padding.
func (l Layout) Batch(all []Example, windows [][]int) data.Batch {
	return l.batch(all, windows, l.length(all, windows))
}

func (l Layout) batch(all []Example, windows [][]int, t int) data.Batch {
	rows := l.BatchSize * t
	inputs, targets, begins := make([]uint32, rows), make([]uint32, rows), make([]uint32, rows)
	for i := range targets {
		targets[i] = data.Ignored
	}
	used := 0
	for b, w := range windows {
		at := 0
		for _, x := range w {
			e := all[x]
			row := b*t + at
			copy(inputs[row:], e.IDs)
			for _, s := range e.Learned {
				copy(targets[row+s.From-1:], e.IDs[s.From:s.To])
			}
			for i := range e.IDs {
				begins[row+i] = uint32(at)
			}
			at, used = at+len(e.IDs), used+len(e.IDs)
		}
		for i := at; i < t; i++ { // The padding is a document too, which nothing else sees.
			begins[b*t+i] = uint32(at)
		}
	}
	batch := data.NewBatch(inputs, targets)
	batch.SeqLen, batch.Padding = t, rows-used
	if l.Pack {
		batch.Begins = begins
	}
	return batch
}

// Windows is how many windows the first epoch has.
func (l Layout) Windows(s *Set) int { return len(l.epoch(s, 0)) }
