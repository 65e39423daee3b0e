package kernel

import (
	"fmt"
	"sync"
)

// Names are the words for values of a type, each made once: they are asked for with
// every call that is recorded.
type Names[T interface {
	comparable
	fmt.Stringer
}] struct {
	mu    sync.Mutex
	words map[T]string
}

// Of is a value's word.
func (n *Names[T]) Of(x T) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	word, ok := n.words[x]
	if !ok {
		word = x.String()
		if n.words == nil {
			n.words = map[T]string{}
		}
		n.words[x] = word
	}
	return word
}
