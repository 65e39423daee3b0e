// Package trie finds which of many strings a text begins with.
//
// It exists because added tokens and Unigram models both ask that at every place of a text.
package trie

// Trie holds strings, each with an id.
type Trie struct {
	nodes []node      // the first is the root
	first [256]uint32 // the root's children by byte, 0 where there is none: most bytes of a text begin no string
}

type node struct {
	next  map[byte]int
	id    uint32
	final bool
}

// New is an empty trie.
func New() *Trie { return &Trie{nodes: make([]node, 1)} }

// Empty reports whether there is nothing to find.
func (t *Trie) Empty() bool { return len(t.nodes) == 1 }

// Insert adds a string that is not empty.
func (t *Trie) Insert(text string, id uint32) {
	at := 0
	for i := range len(text) {
		child, ok := t.nodes[at].next[text[i]]
		if !ok {
			child = len(t.nodes)
			t.nodes = append(t.nodes, node{})
			if t.nodes[at].next == nil {
				t.nodes[at].next = map[byte]int{}
			}
			t.nodes[at].next[text[i]] = child
			if at == 0 {
				t.first[text[i]] = uint32(child)
			}
		}
		at = child
	}
	t.nodes[at].id, t.nodes[at].final = id, true
}

// Begins reports whether any string begins with b.
func (t *Trie) Begins(b byte) bool { return t.first[b] != 0 }

// Longest returns the longest string that s, which is not empty, begins with; its length is 0 when there is none.
func (t *Trie) Longest(s string) (id uint32, length int) {
	t.Each(s, func(found uint32, n int) { id, length = found, n })
	return id, length
}

// Each calls f with every string that s, which is not empty, begins with, the shortest first.
func (t *Trie) Each(s string, f func(id uint32, length int)) {
	at := int(t.first[s[0]])
	for i := 1; at != 0; i++ {
		if t.nodes[at].final {
			f(t.nodes[at].id, i)
		}
		if i == len(s) {
			return
		}
		at = t.nodes[at].next[s[i]] // 0, the root, is no child
	}
}
