package tokenizer

import (
	"cmp"
	"container/heap"
	"fmt"
	"iter"
	"slices"
	"strings"

	"steplm/data/tokenizer/internal/pattern"
	"steplm/data/tokenizer/internal/runes"
	"steplm/data/tokenizer/internal/subword"
)

// defaultSpecial ends a document in GPT-2 and in tokenizers trained here.
const defaultSpecial = "<|endoftext|>"

// TrainOptions says what Train should make.
type TrainOptions struct {
	VocabSize int                   // special tokens, the 256 bytes and merges together
	Special   []string              // ids from 0 in this order; nil: <|endoftext|>
	Progress  func(done, total int) // called after each new token with the vocabulary's size and VocabSize; may be nil
}

// maxWordBytes bounds Train's memory: the lengths of all different words together.
const maxWordBytes = 64 << 20

// Train learns a byte-level BPE tokenizer: texts are cut into words by GPT-2's pattern, and the most frequent pair of
// adjacent tokens becomes a new token (Sennrich et al., 2016, "Neural Machine Translation of Rare Words with Subword
// Units"), of equally frequent pairs the one of the smallest ids. Merges and ids equal those of Hugging
// Face's BpeTrainer with the byte alphabet and a min_frequency of 0.
//
// Memory grows with the different words, not with the text; more than 64 MiB of them is an error. The vocabulary is
// smaller than o.VocabSize if the texts run out of pairs. An error of texts ends the training.
func Train(texts iter.Seq2[string, error], o TrainOptions) (*Tokenizer, error) {
	if o.Special == nil {
		o.Special = []string{defaultSpecial}
	}
	if least := len(o.Special) + 256; o.VocabSize < least {
		return nil, fmt.Errorf("tokenizer: a vocabulary of %d is too small: %d special tokens and 256 bytes need %d",
			o.VocabSize, len(o.Special), least)
	}
	words, err := countWords(texts, maxWordBytes)
	if err != nil {
		return nil, err
	}
	tr, err := newTrainer(o, words)
	if err != nil {
		return nil, err
	}
	tr.run()
	var added []addedToken
	for id, special := range o.Special {
		added = append(added, addedToken{ID: uint32(id), Content: special, Special: true})
	}
	def, err := byteLevel(subword.BPEOptions{Vocab: tr.ids, Merges: tr.distinctMerges()}, added)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	t, err := def.compile()
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	return t, nil
}

// wordCounts lists the different words of a corpus in the order of their first appearance.
type wordCounts struct {
	words  []string
	counts []int64
}

func countWords(texts iter.Seq2[string, error], maxBytes int) (wordCounts, error) {
	var w wordCounts
	index := map[string]int{}
	size := 0
	for text, err := range texts {
		if err != nil {
			return w, fmt.Errorf("tokenizer: reading the training text: %w", err)
		}
		text = runes.ReplaceInvalid(text)
		for i := 0; i < len(text); {
			end := pattern.GPT2.Next(text, i)
			word := text[i:end]
			i = end
			if at, ok := index[word]; ok {
				w.counts[at]++
				continue
			}
			if size += len(word); size > maxBytes {
				return w,
					fmt.Errorf("tokenizer: the training text has over %d bytes of different words (%d words): "+
						"train on less of it",
						maxBytes, len(w.words))
			}
			word = strings.Clone(word) // a part of text would keep all of it
			index[word] = len(w.words)
			w.words = append(w.words, word)
			w.counts = append(w.counts, 1)
		}
	}
	if len(w.words) == 0 {
		return w, fmt.Errorf("tokenizer: there is no text to train on")
	}
	return w, nil
}

// trainer follows BpeTrainer step by step, down to its bookkeeping: when a pair comes up again after it was queued, it
// is queued a second time for the new words only, and merging it leaves its own count as it was.
type trainer struct {
	size     int
	progress func(done, total int)
	tokens   []string
	ids      map[string]uint32
	words    [][]uint32 // the tokens of every word so far
	counts   []int64
	pairs    map[subword.Pair]*pairCount
	touched  []*pairCount // with words that are not queued yet
	queue    candidates
	merges   []subword.Pair
}

type pairCount struct {
	pair  subword.Pair
	count int64
	words []int32 // where it has come up and is not queued yet
}

func newTrainer(o TrainOptions, w wordCounts) (*trainer, error) {
	tr := &trainer{size: o.VocabSize, progress: o.Progress, ids: make(map[string]uint32, o.VocabSize), counts: w.counts,
		pairs: map[subword.Pair]*pairCount{}}
	if tr.progress == nil {
		tr.progress = func(int, int) {}
	}
	for _, special := range o.Special {
		if _, ok := tr.ids[special]; ok || special == "" {
			return nil, fmt.Errorf("tokenizer: special token %q is empty or named twice", special)
		}
		tr.token(special)
	}
	alphabet := slices.Clone(runes.ByteRune[:])
	slices.Sort(alphabet)
	for _, r := range alphabet {
		tr.token(string(r))
	}
	var bytes [256]uint32
	for b, r := range runes.ByteRune {
		bytes[b] = tr.ids[string(r)]
	}
	tr.words = make([][]uint32, len(w.words))
	for i, word := range w.words {
		tokens := make([]uint32, len(word))
		for j := range tokens {
			tokens[j] = bytes[word[j]]
		}
		tr.words[i] = tokens
		for j := range len(tokens) - 1 {
			tr.add(subword.PairOf(tokens[j], tokens[j+1]), int32(i))
		}
	}
	tr.enqueue()
	return tr, nil
}

// token returns the id of a token, which is new or has been reached by other merges before.
func (tr *trainer) token(text string) uint32 {
	id, ok := tr.ids[text]
	if !ok {
		id = uint32(len(tr.tokens))
		tr.ids[text] = id
		tr.tokens = append(tr.tokens, text)
		tr.progress(len(tr.tokens), tr.size)
	}
	return id
}

func (tr *trainer) run() {
	for len(tr.tokens) < tr.size && len(tr.queue) > 0 {
		top := tr.queue[0]
		if count := tr.pairs[top.pair].count; top.count != count {
			top.count = count
			heap.Fix(&tr.queue, 0)
			continue
		}
		if top.count < 1 {
			return
		}
		heap.Pop(&tr.queue)
		id := tr.token(tr.tokens[top.pair.Left()] + tr.tokens[top.pair.Right()])
		tr.merges = append(tr.merges, top.pair)
		for _, word := range top.words {
			tr.merge(word, top.pair, id)
		}
		tr.enqueue()
	}
}

// merge replaces p by id in a word and counts the pairs that this breaks and makes.
func (tr *trainer) merge(word int32, p subword.Pair, id uint32) {
	tokens := tr.words[word]
	out := tokens[:0]
	for i := 0; i < len(tokens); i++ {
		if i+1 == len(tokens) || subword.PairOf(tokens[i], tokens[i+1]) != p {
			out = append(out, tokens[i])
			continue
		}
		if n := len(out); n > 0 {
			tr.remove(subword.PairOf(out[n-1], p.Left()), word)
			tr.add(subword.PairOf(out[n-1], id), word)
		}
		i++
		if i+1 < len(tokens) {
			tr.remove(subword.PairOf(p.Right(), tokens[i+1]), word)
			tr.add(subword.PairOf(id, tokens[i+1]), word)
		}
		out = append(out, id)
	}
	tr.words[word] = out
}

func (tr *trainer) pairCount(p subword.Pair) *pairCount {
	c, ok := tr.pairs[p]
	if !ok {
		c = &pairCount{pair: p}
		tr.pairs[p] = c
	}
	return c
}

func (tr *trainer) remove(p subword.Pair, word int32) {
	tr.pairCount(p).count -= tr.counts[word]
}

func (tr *trainer) add(p subword.Pair, word int32) {
	c := tr.pairCount(p)
	c.count += tr.counts[word]
	if n := len(c.words); n == 0 {
		tr.touched = append(tr.touched, c)
	} else if c.words[n-1] == word {
		return
	}
	c.words = append(c.words, word)
}

// enqueue makes candidates of the pairs that came up since the last call.
func (tr *trainer) enqueue() {
	for _, c := range tr.touched {
		if c.count > 0 {
			heap.Push(&tr.queue, &candidate{c.pair, c.count, c.words})
		}
		c.words = nil
	}
	tr.touched = tr.touched[:0]
}

// distinctMerges are the merges by name. A pair that was merged twice keeps its last rank, as in the reference's model.
func (tr *trainer) distinctMerges() [][2]string {
	last := make(map[subword.Pair]int, len(tr.merges))
	for rank, p := range tr.merges {
		last[p] = rank
	}
	names := make([][2]string, 0, len(last))
	for rank, p := range tr.merges {
		if last[p] == rank {
			names = append(names, [2]string{tr.tokens[p.Left()], tr.tokens[p.Right()]})
		}
	}
	return names
}

// candidate is a pair that may be merged next, with its count when it was queued.
type candidate struct {
	pair  subword.Pair
	count int64
	words []int32
}

// candidates is a heap: highest count first, then smallest ids.
type candidates []*candidate

func (c candidates) Len() int { return len(c) }
func (c candidates) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(c[j].count, c[i].count), cmp.Compare(c[i].pair, c[j].pair)) < 0
}
func (c candidates) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *candidates) Push(x any)   { *c = append(*c, x.(*candidate)) }
func (c *candidates) Pop() any {
	last := len(*c) - 1
	x := (*c)[last]
	(*c)[last] = nil
	*c = (*c)[:last]
	return x
}
