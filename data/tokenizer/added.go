package tokenizer

// addedToken is a token that is found in the text before it is split into words, in Hugging Face's notation.
type addedToken struct {
	ID         uint32 `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	Lstrip     bool   `json:"lstrip"`
	Rstrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"` // searched after normalization, not before
	Special    bool   `json:"special"`
}

// trie finds added tokens: the leftmost in the text, and of those that start there the longest.
type trie struct {
	nodes []trieNode  // the first is the root
	first [256]uint32 // the root's children by byte, 0 where there is none: most bytes of a text begin no token
}

type trieNode struct {
	next  map[byte]int
	id    uint32
	final bool
}

func newTrie() *trie { return &trie{nodes: make([]trieNode, 1)} }

func (t *trie) insert(content string, id uint32) {
	at := 0
	for i := range len(content) {
		child, ok := t.nodes[at].next[content[i]]
		if !ok {
			child = len(t.nodes)
			t.nodes = append(t.nodes, trieNode{})
			if t.nodes[at].next == nil {
				t.nodes[at].next = map[byte]int{}
			}
			t.nodes[at].next[content[i]] = child
			if at == 0 {
				t.first[content[i]] = uint32(child)
			}
		}
		at = child
	}
	t.nodes[at].id, t.nodes[at].final = id, true
}

// match returns the longest token that starts at s[i:]; its length is 0 when there is none.
func (t *trie) match(s string, i int) (id uint32, length int) {
	at := int(t.first[s[i]])
	for j := i + 1; at != 0; j++ {
		if t.nodes[at].final {
			id, length = t.nodes[at].id, j-i
		}
		if j == len(s) {
			break
		}
		at = t.nodes[at].next[s[j]] // 0, the root, is no child
	}
	return id, length
}

// encode appends the ids of the tokens it finds and, by plain, those of the text between them, which is never empty;
// first is true for what s begins with.
func (t *trie) encode(ids []uint32, s string, plain func(ids []uint32, s string, first bool) []uint32) []uint32 {
	start := 0
	if len(t.nodes) > 1 {
		for i := 0; i < len(s); {
			if t.first[s[i]] == 0 {
				i++
				continue
			}
			id, length := t.match(s, i)
			if length == 0 {
				i++
				continue
			}
			if start < i {
				ids = plain(ids, s[start:i], start == 0)
			}
			ids = append(ids, id)
			i += length
			start = i
		}
	}
	if start < len(s) {
		ids = plain(ids, s[start:], start == 0)
	}
	return ids
}
