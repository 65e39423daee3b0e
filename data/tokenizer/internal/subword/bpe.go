package subword

import (
	"container/heap"
)

// Pair is two adjacent tokens, left<<32 | right.
type Pair uint64

// PairOf is the pair of two tokens.
func PairOf(left, right uint32) Pair { return Pair(left)<<32 | Pair(right) }

// Left is the first of the two.
func (p Pair) Left() uint32 { return uint32(p >> 32) }

// Right is the second.
func (p Pair) Right() uint32 { return uint32(p) }

// merge is rank<<32 | id of the token that the pair becomes; the lowest rank is applied first.
type merge uint64

const noMerge = ^merge(0)

func mergeOf(rank int, id uint32) merge { return merge(rank)<<32 | merge(id) }

func (m merge) id() uint32 { return uint32(m) }

// BPE merges the runes of a word, or its bytes: always the pair of lowest rank, the leftmost of equals, until none is
// left (Sennrich et al., 2016, "Neural Machine Translation of Rare Words with Subword Units").
type BPE struct {
	o      BPEOptions
	raw    bool            // a word is bytes, which the vocabulary writes in GPT-2's alphabet
	bytes  [256]uint32     // id of each byte, noToken where there is none
	all    bool            // bytes has every one that valid UTF-8 can hold
	runes  map[rune]uint32 // id of each rune in the vocabulary; nil where raw
	unk    uint32          // for what has no token; noToken: it is dropped
	merges merges
	whole  map[string]uint32 // words that end as one token: most words of real text
}

func (b *BPE) merge(left, right uint32) merge { return b.merges.find(left, right) }

// ShortWord is the length in bytes up to which a scan for the lowest rank beats a heap.
const ShortWord = 48

func (b *BPE) encodeShort(ids []uint32, word string) []uint32 {
	var tokenSpace [ShortWord]uint32
	var mergeSpace [ShortWord]merge
	tokens := b.symbols(tokenSpace[:0], word)
	merges := mergeSpace[:len(tokens)] // merges[i] joins tokens i and i+1
	for i := range len(tokens) - 1 {
		merges[i] = b.merge(tokens[i], tokens[i+1])
	}
	for len(tokens) > 1 {
		merges = merges[:len(tokens)-1]
		best := 0
		for i, m := range merges {
			if m < merges[best] {
				best = i
			}
		}
		if merges[best] == noMerge {
			break
		}
		tokens[best] = merges[best].id()
		tokens = append(tokens[:best+1], tokens[best+2:]...)
		merges = append(merges[:best], merges[best+1:]...)
		if best > 0 {
			merges[best-1] = b.merge(tokens[best-1], tokens[best])
		}
		if best < len(merges) {
			merges[best] = b.merge(tokens[best], tokens[best+1])
		}
	}
	return append(ids, tokens...)
}

// encodeLong is encodeShort with a linked list and a heap, in O(n log n) for n bytes.
func (b *BPE) encodeLong(ids []uint32, word string) []uint32 {
	const none = -1
	tokens := b.symbols(make([]uint32, 0, len(word)), word)
	n := len(tokens)
	if n == 0 { // nothing of it is known, nor is there a token for that
		return ids
	}
	before, after := make([]int, n), make([]int, n) // neighbours; after[i] is none at the end and for an absorbed token
	for i := range n {
		before[i], after[i] = i-1, i+1
	}
	after[n-1] = none

	var queue mergeQueue
	for i := range n - 1 {
		if m := b.merge(tokens[i], tokens[i+1]); m != noMerge {
			queue = append(queue, queuedMerge{m, i})
		}
	}
	heap.Init(&queue)
	push := func(i int) {
		if m := b.merge(tokens[i], tokens[after[i]]); m != noMerge {
			heap.Push(&queue, queuedMerge{m, i})
		}
	}
	for len(queue) > 0 {
		next := heap.Pop(&queue).(queuedMerge)
		i, j := next.at, after[next.at]
		if j == none || b.merge(tokens[i], tokens[j]) != next.merge {
			continue // a neighbour was merged since this was queued
		}
		tokens[i], after[i], after[j] = next.merge.id(), after[j], none
		if after[i] != none {
			before[after[i]] = i
			push(i)
		}
		if before[i] != none {
			push(before[i])
		}
	}
	for i := 0; i != none; i = after[i] {
		ids = append(ids, tokens[i])
	}
	return ids
}

// queuedMerge may be applied to the token at a position of the word and the one after it.
type queuedMerge struct {
	merge merge
	at    int
}

// mergeQueue is a heap: lowest rank first, then leftmost.
type mergeQueue []queuedMerge

func (q mergeQueue) Len() int { return len(q) }
func (q mergeQueue) Less(i, j int) bool {
	if q[i].merge != q[j].merge {
		return q[i].merge < q[j].merge
	}
	return q[i].at < q[j].at
}
func (q mergeQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *mergeQueue) Push(x any)   { *q = append(*q, x.(queuedMerge)) }
func (q *mergeQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}
