// Package growth says how a deeper model comes from a shallower one: where new blocks go, and of which old ones each is
// made. It knows blocks by position alone, no tensor and no run.
package growth

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Origin says where one block of the grown model comes from. Below and Above are
// positions in the model before growth:
//
//	block = (1-Weight)·Below + Weight·Above    0 <= Weight < 1
//
// over all its parameters, norms included. An old block (New false) is kept as
// it is and has Below == Above == its old position and Weight 0; so has a new
// block that is a plain copy, but for New.
//
// A new block may also be drawn afresh, and then comes from none, or be made so that its outputs
// are zero: then the grown model computes what the old one did.
type Origin struct {
	New          bool
	Below, Above int
	Weight       float64
	Drawn        bool // as initial weights are
	Silent       bool // what it adds to the residual stream is zero: its two last linears are
}

// Growth is what a growth operator does to a model, as pure data.
type Growth struct {
	Origins []Origin // one per block of the grown model, from the embedding's side to the head's
	Note    string   // for the user: how the request was read where it had no literal meaning, else ""
}

// PlanGrowth inserts after-before new blocks between the before old ones. Gap g
// lies between old blocks g and g+1. The gaps are filled in rounds: a round puts
// at most one block into each, in the order that position gives, and the next
// round begins again with the first. operator then derives each new block from
// the two neighbours of its gap. A model of one block has no gap: its new
// blocks are placed above it, derived as if it were the block above too, and Note says so.
//
// An operator that copies the whole stack has no use for gaps and positions.
//
// The result depends on nothing but the arguments; seed matters to position
// "random" alone.
func PlanGrowth(before, after int, position, operator string, seed uint64) (Growth, error) {
	if before < 1 || after <= before {
		return Growth{}, fmt.Errorf(
			"cannot grow from %d to %d layers: growth starts from at least 1 layer and adds at least 1", before, after)
	}
	at := slices.Index(Positions(), position)
	if at < 0 {
		return Growth{}, fmt.Errorf("unknown growth position %q: choose one of %s", position,
			strings.Join(Positions(), ", "))
	}
	by := slices.Index(Operators(), operator)
	if by < 0 {
		return Growth{}, fmt.Errorf("unknown growth operator %q: choose one of %s", operator,
			strings.Join(Operators(), ", "))
	}
	op := operators[by]
	if op.whole != nil {
		return Growth{Origins: op.whole(before, after)}, nil
	}

	if before == 1 {
		origins := make([]Origin, after)
		for i := range origins[1:] {
			o := op.origin(0, 1, 1)
			o.Below, o.Above, o.Weight = 0, 0, 0
			origins[1+i] = o
		}
		return Growth{origins, fmt.Sprintf("a single layer has no gap: all new layers (%d) %s, placed above it",
			after-before, op.alone)}, nil
	}

	counts := make([]int, before-1)
	order := gapOrder(len(counts), positions[at].key, seed)
	for i := range after - before {
		counts[order[i%len(order)]]++
	}
	origins := make([]Origin, 0, after)
	for block := range before {
		origins = append(origins, Origin{Below: block, Above: block})
		if block == before-1 {
			break
		}
		for j := range counts[block] {
			origins = append(origins, op.origin(block, j+1, counts[block]))
		}
	}
	return Growth{Origins: origins}, nil
}

// operator is a way to make new blocks.
type operator struct {
	name string
	// origin derives the j-th (1 <= j <= m) of m new blocks in a gap, counted from below.
	origin func(gap, j, m int) Origin
	// whole, unless nil, derives all blocks of the grown model instead.
	whole func(before, after int) []Origin
	mixes bool   // it needs two neighbours to be what it says
	alone string // what it does in a model of one layer, for people
}

const startsAsCopies = "start as copies of it"

// operators lists the growth operators, each in a file of its own, grow_<name>.go.
var operators = []operator{growMean, growCopy, growCopyUpper, growStack, growZero, growRandom}

// Mixes reports whether an operator derives new blocks from two neighbours, which a model of one
// layer has not.
func Mixes(name string) bool {
	return slices.ContainsFunc(operators, func(o operator) bool { return o.name == name && o.mixes })
}

// positions lists the orders in which gaps are filled: ascending by key.
var positions = []struct {
	name string
	key  func(gap, gaps int, seed uint64) uint64
}{
	{"upper", func(gap, gaps int, _ uint64) uint64 { return uint64(gaps - 1 - gap) }},
	{"intermediate", func(gap, gaps int, _ uint64) uint64 {
		distance := 2*gap - (gaps - 1) // twice the distance from the middle
		if distance >= 0 {
			return uint64(2 * distance)
		}
		return uint64(-2*distance + 1) // as far, but after its upper twin
	}},
	{"lower", func(gap, _ int, _ uint64) uint64 { return uint64(gap) }},
	{"random", func(gap, gaps int, seed uint64) uint64 {
		return splitmix64(splitmix64(seed+uint64(gaps)) + uint64(gap))
	}},
}

// gapOrder is the permutation of the gaps that sorts them by key.
func gapOrder(gaps int, key func(gap, gaps int, seed uint64) uint64, seed uint64) []int {
	order := make([]int, gaps)
	for gap := range order {
		order[gap] = gap
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(key(a, gaps, seed), key(b, gaps, seed))
	})
	return order
}

// splitmix64 is one output of the generator of that name (Steele, Lea and Flood,
// 2014) at state x. It is spelled out because growth must not change with the
// Go version.
func splitmix64(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Positions are the names that PlanGrowth knows for the order of the gaps: upper
// (from the head's side down), intermediate (from the middle outwards, the
// upper one first at equal distance), lower (from the embedding's side up) and
// random (a permutation drawn from seed and the number of gaps).
func Positions() []string {
	names := make([]string, len(positions))
	for i, p := range positions {
		names[i] = p.name
	}
	return names
}

// Operators are the names of the growth operators that PlanGrowth knows: mean (interpolation between the
// neighbours), copy and copy_upper (of the lower and of the upper neighbour), stack (the whole stack again and
// again), zero (a copy of the lower neighbour whose outputs are zero) and random (initial weights).
func Operators() []string {
	names := make([]string, len(operators))
	for i, o := range operators {
		names[i] = o.name
	}
	return names
}

// DefaultOperator is the name of the operator that a method grows by unless it or the user says otherwise.
func DefaultOperator() string { return growMean.name }
