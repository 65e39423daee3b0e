// Package prose writes the demo's corpus: short readable texts in simple
// English, made from templates and a small world of people, towns, animals and
// facts that stay the same from text to text. It exists because the demo needs
// text that is free to ship, that a tiny model can learn something from in
// minutes, and whose held-out part is no copy of the training part.
//
// Everything follows from a seed: no clock, no map order, no random number of
// the standard library's choosing.
package prose

import "fmt"

// Document is one text. Kind is the sort of text; Key names the choices that
// make it what it is (who, where, which lesson), and no two documents of one
// Write share a Key.
type Document struct {
	Kind, Key, Text string
}

const (
	shortest = 400  // bytes
	longest  = 2500 // bytes
)

// kinds are the sorts of text and how often each is drawn.
var kinds = []struct {
	name   string
	weight int
	write  func(w *writer) (key, text string)
}{
	{"explanation", 14, explain},
	{"story", 16, story},
	{"animal", 8, profile},
	{"comparison", 5, compare},
	{"riddle", 4, riddle},
	{"arithmetic", 9, arithmetic},
	{"patterns", 3, patterns},
	{"recipe", 7, recipe},
	{"howto", 6, howTo},
	{"guide", 6, guide},
	{"journey", 6, journey},
	{"year", 3, year},
	{"lesson", 7, lesson},
	{"quiz", 3, quiz},
	{"letter", 7, letter},
	{"fable", 6, fable},
	{"order", 3, order},
	{"syllogism", 3, syllogism},
	{"cause", 4, chain},
	{"history", 5, history},
}

// Corpus is the corpus that the project ships: the same texts at every call.
func Corpus() (train, heldOut []Document, err error) { return Write(1, 600_000, 40_000) }

// Write gives documents of at least bytes in all, then of at least heldOut
// bytes more. The second set continues the first: other choices of the same
// kinds, so that a model can know the words and the facts but not the texts.
func Write(seed uint64, bytes, heldOut int) (train, held []Document, err error) {
	taken := map[string]bool{}
	stream := uint64(0)
	fill := func(want int) ([]Document, error) {
		var docs []Document
		for size := 0; size < want; {
			stream++
			d, err := one(newRandom(seed, stream))
			if err != nil {
				return nil, err
			}
			if taken[d.Key] || len(d.Text) < shortest || len(d.Text) > longest {
				continue
			}
			taken[d.Key] = true
			docs = append(docs, d)
			size += len(d.Text)
		}
		return docs, nil
	}
	if train, err = fill(bytes); err != nil {
		return nil, nil, err
	}
	held, err = fill(heldOut)
	return train, held, err
}

// one draws a kind by its weight and writes a text of it.
func one(r *random) (Document, error) {
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	i, n := 0, r.below(total)
	for n >= kinds[i].weight {
		n -= kinds[i].weight
		i++
	}
	w := newWriter(r)
	key, text := kinds[i].write(w)
	if w.err != nil {
		return Document{}, fmt.Errorf("%s: %w", kinds[i].name, w.err)
	}
	return Document{Kind: kinds[i].name, Key: key, Text: text}, nil
}
