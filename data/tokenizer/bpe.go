package tokenizer

import (
	"container/heap"
	"unicode/utf8"
)

// pair is two adjacent tokens, left<<32 | right.
type pair uint64

func pairOf(left, right uint32) pair { return pair(left)<<32 | pair(right) }

func (p pair) left() uint32  { return uint32(p >> 32) }
func (p pair) right() uint32 { return uint32(p) }

// merge is rank<<32 | id of the token that the pair becomes; the lowest rank is applied first.
type merge uint64

const noMerge = ^merge(0)

func mergeOf(rank int, id uint32) merge { return merge(rank)<<32 | merge(id) }

func (m merge) id() uint32 { return uint32(m) }

// bpe merges the bytes of a word, or its characters: always the pair of lowest rank, the leftmost of
// equals, until none is left.
type bpe struct {
	bytes  [256]uint32     // id of each byte
	runes  map[rune]uint32 // id of each character in the vocabulary; nil: a word is its bytes
	merges merges
	whole  map[string]uint32 // words that end as one token: most words of real text
}

func (b *bpe) merge(left, right uint32) merge { return b.merges.find(left, right) }

// shortWord is the length in bytes up to which a scan for the lowest rank beats a heap.
const shortWord = 48

// encode appends the ids of a word.
func (b *bpe) encode(ids []uint32, word string) []uint32 {
	if id, ok := b.whole[word]; ok {
		return append(ids, id)
	}
	if len(word) <= shortWord {
		return b.encodeShort(ids, word)
	}
	return b.encodeLong(ids, word)
}

// symbols appends what merging starts from: never more than the bytes of the word.
func (b *bpe) symbols(tokens []uint32, word string) []uint32 {
	if b.runes == nil {
		for i := range len(word) {
			tokens = append(tokens, b.bytes[word[i]])
		}
		return tokens
	}
	for i, r := range word {
		if id, ok := b.runes[r]; ok {
			tokens = append(tokens, id)
			continue
		}
		for j := range utf8.RuneLen(r) {
			tokens = append(tokens, b.bytes[word[i+j]])
		}
	}
	return tokens
}

func (b *bpe) encodeShort(ids []uint32, word string) []uint32 {
	var tokenSpace [shortWord]uint32
	var mergeSpace [shortWord]merge
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
func (b *bpe) encodeLong(ids []uint32, word string) []uint32 {
	const none = -1
	tokens := b.symbols(make([]uint32, 0, len(word)), word)
	n := len(tokens)
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
