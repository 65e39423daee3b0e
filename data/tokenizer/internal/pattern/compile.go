package pattern

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/dlclark/regexp2/v2"

	"steplm/data/tokenizer/internal/runes"
)

// TimeLimit is how long the search for one match may take.
const TimeLimit = 10 * time.Second

// firstSymbol is the rune that stands for the first class of runes in what regexp2 sees, maxSymbols how many may be.
const (
	firstSymbol = 0x30
	maxSymbols  = 250
)

// expression is a compiled regular expression.
type expression struct {
	source  string
	symbols *[unicode.MaxRune + 1]uint8 // the class of each rune
	re      *regexp2.Regexp
}

// compile reads an expression in Oniguruma's syntax.
func compile(source string) (*expression, error) {
	tree, err := parse(source)
	if err != nil {
		return nil, err
	}
	w := &writer{}
	tree.write(w) // once to learn the sets
	symbols, count := partition(w.sets)
	if count > maxSymbols {
		return nil, fmt.Errorf("the regular expression %q tells %d classes of runes apart, the limit is %d", source,
			count, maxSymbols)
	}
	w = &writer{symbols: symbols}
	tree.write(w)
	re, err := regexp2.Compile(w.b.String())
	if err != nil {
		return nil, fmt.Errorf("the regular expression %q is not supported: %w", source, err)
	}
	re.MatchTimeout = TimeLimit
	return &expression{source, symbols, re}, nil
}

// partition numbers the classes of runes that no set tells apart.
func partition(sets []runes.Set) (*[unicode.MaxRune + 1]uint8, int) {
	type edge struct {
		at  rune
		set int
	}
	var edges []edge
	for i, s := range sets {
		for _, r := range s {
			edges = append(edges, edge{r.Low, i}, edge{r.High + 1, i})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Compare(a.at, b.at) })
	var table [unicode.MaxRune + 1]uint8
	in := make([]byte, len(sets)) // which sets hold the runes from here on
	classes := map[string]int{}
	at := rune(0)
	fill := func(to rune) {
		if at >= to {
			return
		}
		class, ok := classes[string(in)]
		if !ok {
			class = len(classes)
			classes[string(in)] = class
		}
		for ; at < to; at++ {
			table[at] = uint8(class)
		}
	}
	for _, e := range edges {
		fill(e.at)
		in[e.set] ^= 1
	}
	fill(unicode.MaxRune + 1)
	return &table, len(classes)
}

// writer writes nodes in regexp2's syntax.
type writer struct {
	b       strings.Builder
	sets    []runes.Set                 // those written
	symbols *[unicode.MaxRune + 1]uint8 // nil: not known yet
}

func (s oneOf) write(w *writer) {
	w.sets = append(w.sets, runes.Set(s))
	if w.symbols == nil {
		return
	}
	if len(s) == 0 {
		w.b.WriteString("(?!)")
		return
	}
	seen := [256]bool{}
	w.b.WriteByte('[')
	for _, r := range s {
		for c := r.Low; c <= r.High; c++ {
			if symbol := w.symbols[c]; !seen[symbol] {
				seen[symbol] = true
				fmt.Fprintf(&w.b, `\u%04x`, firstSymbol+rune(symbol))
			}
		}
	}
	w.b.WriteByte(']')
}

func (s sequence) write(w *writer) {
	for _, n := range s {
		n.write(w)
	}
}

func (c choice) write(w *writer) {
	w.b.WriteString("(?:")
	for i, n := range c {
		if i > 0 {
			w.b.WriteByte('|')
		}
		n.write(w)
	}
	w.b.WriteByte(')')
}

func (g group) write(w *writer) {
	w.b.WriteString(g.open)
	g.of.write(w)
	w.b.WriteByte(')')
}

func (r repeat) write(w *writer) {
	if r.possessive {
		w.b.WriteString("(?>")
	}
	group{"(?:", r.of}.write(w)
	w.b.WriteString(r.how)
	if r.lazy {
		w.b.WriteByte('?')
	}
	if r.possessive {
		w.b.WriteByte(')')
	}
}

func (l literal) write(w *writer) { w.b.WriteString(string(l)) }

// find returns the matches in text, from left to right. An empty match right after another does not count.
func (e *expression) find(text string) ([]Span, error) {
	symbols := make([]rune, 0, len(text))
	starts := make([]int, 0, len(text)+1) // of each rune, in bytes
	for i, r := range text {
		symbols = append(symbols, firstSymbol+rune(e.symbols[r]))
		starts = append(starts, i)
	}
	starts = append(starts, len(text))
	found, err := e.re.FindAllRunesIndex(symbols, -1)
	if err != nil {
		return nil, fmt.Errorf("the regular expression %q stopped on a text of %d bytes: %w", e.source, len(text), err)
	}
	spans := make([]Span, len(found))
	for i, f := range found {
		spans[i] = Span{starts[f[0]], starts[f[1]], true}
	}
	return spans, nil
}
