package kernel

import (
	"fmt"
	"sync"

	"steplm/gpu"
)

// word is what has a word.
type word interface {
	comparable
	fmt.Stringer
}

// Names are the words for values of a type, each made once: they are asked for with
// every call that is recorded.
type Names[T word] struct {
	mu    sync.Mutex
	words map[T]string
}

// Of is a value's word.
func (n *Names[T]) Of(x T) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	text, ok := n.words[x]
	if !ok {
		text = x.String()
		if n.words == nil {
			n.words = map[T]string{}
		}
		n.words[x] = text
	}
	return text
}

// Choose is which of a list the pass's device was told to run for a class of calls, else the first.
func Choose[V word](p *gpu.Pass, class string, list []V, words *Names[V], work float64) V {
	chosen, v := p.Chosen(class), list[0]
	for _, x := range list {
		if words.Of(x) == chosen {
			v = x
		}
	}
	p.Use(class, words.Of(v), work)
	return v
}
