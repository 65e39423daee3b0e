package likelihood

import (
	"cmp"
	"slices"
)

// want asks for the probability of a target after a position.
type want struct {
	position, request int
	target            uint32
}

// chain is tokens of one sequence at consecutive positions, all before which lies in the cache when they are read.
type chain struct {
	at    int // position of the first
	ids   []uint32
	wants []want // by position
}

// group is sequences that share prefixes, as chains to be read one after another: each leaves its keys and values where
// the next goes on from.
type group struct {
	chains  []chain
	longest int // positions of its longest sequence
}

// longestGroup is how many sequences a group has, at most: they are read one after another.
const longestGroup = 16

// groupsOf makes groups of requests, those with the longest sequences first.
func groupsOf(requests []Request) []group {
	sequences := make([][]uint32, len(requests))
	order := make([]int, len(requests))
	for i, r := range requests {
		all := slices.Concat(r.Context, r.Continuation)
		sequences[i], order[i] = all[:len(all)-1], i
	}
	slices.SortStableFunc(order, func(a, b int) int { return slices.Compare(sequences[a], sequences[b]) })
	var groups []group
	var g *builder
	for _, i := range order {
		ids := sequences[i]
		shared := 0
		if g != nil {
			shared = common(g.held, ids)
		}
		// What shares less than half runs sooner side by side.
		if g == nil || 2*shared < len(ids) || g.sequences == longestGroup && shared < len(ids) {
			if g != nil {
				groups = append(groups, g.group)
			}
			g, shared = &builder{}, 0
		}
		g.add(i, requests[i], ids, shared)
	}
	if g != nil {
		groups = append(groups, g.group)
	}
	slices.SortStableFunc(groups, func(a, b group) int { return cmp.Compare(b.longest, a.longest) })
	return groups
}

// builder makes a group of sequences that come in lexical order.
type builder struct {
	group
	sequences int
	held      []uint32 // the last sequence
	owner     []int    // which chain read each of its positions
}

// add adds a request whose sequence begins with so many tokens that are held.
func (b *builder) add(i int, r Request, ids []uint32, shared int) {
	b.owner = b.owner[:min(len(b.owner), shared)]
	if shared < len(ids) {
		b.sequences++
		b.chains = append(b.chains, chain{at: shared, ids: ids[shared:]})
		for range ids[shared:] {
			b.owner = append(b.owner, len(b.chains)-1)
		}
	}
	b.held, b.longest = ids, max(b.longest, len(ids))
	for j, target := range r.Continuation {
		position := len(r.Context) - 1 + j
		c := &b.chains[b.owner[position]]
		at, _ := slices.BinarySearchFunc(c.wants, position+1, func(w want, p int) int {
			return cmp.Compare(w.position, p)
		})
		c.wants = slices.Insert(c.wants, at, want{position, i, target})
	}
}

// common is how many tokens two sequences begin with alike.
func common(a, b []uint32) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
