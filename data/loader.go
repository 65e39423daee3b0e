package data

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"steplm/data/cache"
)

// DefaultBlockWindows is how many windows of T inputs are shuffled together where
// Options does not say: 4096, or what 8 MiB of ids hold.
func DefaultBlockWindows(seqLen int) int { return max(1, min(4096, 2<<20/seqLen)) }

// ErrClosed is what a Loader answers after Close.
var ErrClosed = errors.New("the loader is closed")

// Options say how a Loader cuts and orders the token stream.
type Options struct {
	BatchSize    int    // B, windows per batch
	SeqLen       int    // T, inputs per window
	Seed         uint64 // of the shuffling
	BlockWindows int    // windows that are shuffled together; some blocks are held in memory; 0 = DefaultBlockWindows
	Shuffle      bool
	Workers      int // goroutines that tokenize; 0 = 1
}

// Source is shards and how much they count in a mixture.
type Source struct {
	Shards *Shards
	Weight float64      // share of the windows, relative to the other sources'
	Cache  *cache.Cache // their ids, where they were tokenized before; nil: they are tokenized
}

// Loader hands out batches from one source or a mixture, epoch after epoch.
// Reading and tokenizing run in goroutines of their own, up to two blocks ahead;
// they start with the first Next. A Loader has one caller at a time.
type Loader struct {
	options Options
	streams []*sourceReader
	cursor  Cursor // after the last batch handed out; its Sources are the streams'

	gathered []window // of the next batch; they survive a cancelled Next or Skip
	err      error    // sticks until Seek
	closed   bool
}

// Stats counts over the whole run, also what was read before a Seek. Rows,
// Dropped and Documents are as of where the block in use ends.
type Stats struct {
	Rows      int64 // rows read
	Dropped         // of them no documents, by why
	Documents int64 // the others, tokenized
	Tokens    int64 // inputs handed out, or skipped since another process has them
	Epoch     int   // of the block in use, from 0; of several sources the highest
}

// NewMixture makes a Loader at its sequence's beginning. The tokenizer must have
// an end-of-text id. Data with fewer than B*T+1 tokens (in a mixture, a
// source with fewer than T+1) are an error of the first Next. A cache that is not
// of its shards and the tokenizer is refused.
func NewMixture(sources []Source, t Tokenizer, o Options) (*Loader, error) {
	if o.BatchSize < 1 || o.SeqLen < 1 || o.BlockWindows < 0 {
		return nil,
			fmt.Errorf("batch size %d and sequence length %d must be at least 1, windows per block %d at least 0",
				o.BatchSize, o.SeqLen, o.BlockWindows)
	}
	o.BlockWindows, o.Workers = cmp.Or(o.BlockWindows, DefaultBlockWindows(o.SeqLen)), cmp.Or(o.Workers, 1)
	if o.Workers < 1 {
		return nil, fmt.Errorf("%d workers: one is the least", o.Workers)
	}
	weights, err := integerWeights(sources)
	if err != nil {
		return nil, err
	}
	enc, err := newEncoder(t)
	if err != nil {
		return nil, err
	}
	l := &Loader{options: o}
	l.cursor = Cursor{
		Order: orderVersion, Tokenizer: hashOf(t), Vocab: t.VocabSize(),
		SeqLen: o.SeqLen, Seed: o.Seed, BlockWindows: o.BlockWindows, Shuffle: o.Shuffle,
	}
	need := int64(o.SeqLen) + 1
	if len(sources) == 1 {
		need = int64(o.BatchSize)*int64(o.SeqLen) + 1
	}
	for i, s := range sources {
		st := &sourceReader{shards: s.Shards, options: o, need: need}
		st.source = textTokens{s.Shards, enc, o.Workers}
		if s.Cache != nil {
			if err := matches(s.Cache, s.Shards, t); err != nil {
				return nil, err
			}
			st.source = s.Cache
		}
		st.cursor = SourceCursor{Data: s.Shards.Identity(), Weight: weights[i]}
		l.streams = append(l.streams, st)
	}
	return l, nil
}

// hashOf is a tokenizer's hash; "" where it has none.
func hashOf(t Tokenizer) string {
	if h, ok := t.(interface{ Hash() string }); ok {
		return h.Hash()
	}
	return ""
}

// Next hands out the next batch. It never returns io.EOF: epochs go on. A
// cancelled context loses nothing; a later Next goes on where this one
// stopped. Any other error stays until Seek.
func (l *Loader) Next(ctx context.Context) (Batch, error) {
	if err := l.gather(ctx); err != nil {
		return Batch{}, err
	}
	rows := l.options.BatchSize * l.options.SeqLen
	inputs, targets, begins := make([]uint32, 0, rows), make([]uint32, 0, rows), make([]uint32, 0, rows)
	for _, w := range l.gathered {
		inputs = append(inputs, w.ids[:l.options.SeqLen]...)
		targets = append(targets, w.ids[1:]...)
		begins = w.appendBegins(begins)
	}
	b := NewBatch(inputs, targets)
	b.Begins = begins
	l.pass()
	return b, nil
}

// Skip is Next of a batch that another process takes: the cursor goes on, and nothing is made of its windows.
func (l *Loader) Skip(ctx context.Context) error {
	if err := l.gather(ctx); err != nil {
		return err
	}
	l.pass()
	return nil
}

// gather takes the next batch's windows.
func (l *Loader) gather(ctx context.Context) error {
	if l.closed {
		return ErrClosed
	}
	if l.err != nil {
		return l.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for len(l.gathered) < l.options.BatchSize {
		w, err := l.due().next(ctx)
		if err != nil {
			if ctx.Err() == nil {
				l.err = err
			}
			return err
		}
		l.gathered = append(l.gathered, w)
	}
	return nil
}

// pass moves the cursor past the gathered windows.
func (l *Loader) pass() {
	l.cursor.Windows += int64(len(l.gathered))
	l.forget()
	for _, s := range l.streams {
		s.commit()
	}
}

// forget drops the windows that are gathered.
func (l *Loader) forget() {
	clear(l.gathered) // They hold their blocks.
	l.gathered = l.gathered[:0]
}

// due is the stream that the next window is from.
func (l *Loader) due() *sourceReader {
	best := l.streams[0]
	for _, s := range l.streams[1:] {
		if sooner(s.taken+1, s.cursor.Weight, best.taken+1, best.cursor.Weight) {
			best = s
		}
	}
	return best
}

// Stats are the counts as of the last batch handed out.
func (l *Loader) Stats() Stats {
	var sum Stats
	for _, s := range l.streams {
		t := s.stats
		sum.Rows += t.Rows
		sum.Dropped = sum.Dropped.Plus(t.Dropped)
		sum.Documents += t.Documents
		sum.Tokens += t.Tokens
		sum.Epoch = max(sum.Epoch, t.Epoch)
	}
	return sum
}

// SourceStats are the counts of each source.
func (l *Loader) SourceStats() []Stats {
	var list []Stats
	for _, s := range l.streams {
		list = append(list, s.stats)
	}
	return list
}

// Cursor is the position after the last batch handed out.
func (l *Loader) Cursor() Cursor {
	c := l.cursor
	for _, s := range l.streams {
		c.Sources = append(c.Sources, s.cursor)
	}
	return c
}

// Seek moves to a cursor: the batches from Next on are bit for bit those that
// followed it. At most one block of each source is read again. A cursor of other
// data, another tokenizer or other options is refused, and the Loader stays where
// it is.
func (l *Loader) Seek(c Cursor) error {
	if l.closed {
		return ErrClosed
	}
	if err := l.Cursor().Compatible(c); err != nil {
		return err
	}
	windows := int64(0)
	for i, s := range l.streams {
		if err := c.Sources[i].check(s.shards); err != nil {
			return err
		}
		windows += c.Sources[i].Windows
	}
	if windows != c.Windows {
		return fmt.Errorf("the cursor's sources handed out %d windows, but it counts %d", windows, c.Windows)
	}
	for i, s := range l.streams {
		s.seek(c.Sources[i])
	}
	l.forget()
	l.err = nil
	l.cursor = c
	l.cursor.Sources = nil
	return nil
}

// Close stops the goroutines and waits for them. A second Close does nothing.
func (l *Loader) Close() error {
	l.closed = true
	for _, s := range l.streams {
		s.halt()
	}
	return nil
}
