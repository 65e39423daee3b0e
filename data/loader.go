package data

import (
	"context"
	"errors"
	"fmt"
)

// DefaultBlockWindows is how many windows are shuffled together where Options
// does not say.
const DefaultBlockWindows = 1024

// ErrClosed is what a Loader answers after Close.
var ErrClosed = errors.New("the loader is closed")

// Options say how a Loader cuts and orders the token stream.
type Options struct {
	BatchSize    int    // B, windows per batch
	SeqLen       int    // T, inputs per window
	Seed         uint64 // of the shuffling
	BlockWindows int    // windows that are shuffled together and held in memory; 0 = DefaultBlockWindows
	Shuffle      bool
}

// Loader hands out batches from shards, epoch after epoch. Reading and
// tokenizing run in a goroutine of its own, up to two blocks ahead; it starts
// with the first Next. A Loader has one caller at a time.
type Loader struct {
	shards  *Shards
	encoder encoder
	options Options

	cursor Cursor // after the last batch handed out
	stats  Stats

	running         *reading // nil before the first Next
	current         *block
	used            int      // windows of current taken
	inputs, targets []uint32 // of the batch being gathered; survives a cancelled Next
	err             error    // sticks until Seek
	closed          bool
}

// Stats counts over the whole run, also what was read before a Seek. Rows,
// Dropped and Documents are as of the last row of the block in use.
type Stats struct {
	Rows      int64 // rows read
	Dropped         // of them no documents, by why
	Documents int64 // the others, tokenized
	Tokens    int64 // inputs handed out
	Epoch     int   // of the block in use, from 0
}

// reading is the background goroutine as the Loader sees it.
type reading struct {
	blocks chan *block // closed at the goroutine's end
	stop   context.CancelFunc
	err    error // why it ended; valid once blocks is closed
}

// NewLoader makes a Loader at the stream's beginning. The tokenizer must have
// an end-of-text id. Data with fewer than B*T+1 tokens are an error of the
// first Next.
func NewLoader(s *Shards, t Tokenizer, o Options) (*Loader, error) {
	if o.BatchSize < 1 || o.SeqLen < 1 || o.BlockWindows < 0 {
		return nil, fmt.Errorf("batch size %d and sequence length %d must be at least 1, windows per block %d at least 0",
			o.BatchSize, o.SeqLen, o.BlockWindows)
	}
	if o.BlockWindows == 0 {
		o.BlockWindows = DefaultBlockWindows
	}
	enc, err := newEncoder(t)
	if err != nil {
		return nil, err
	}
	l := &Loader{shards: s, encoder: enc, options: o}
	l.cursor = Cursor{
		Data: s.Identity(), Vocab: t.VocabSize(),
		SeqLen: o.SeqLen, Seed: o.Seed, BlockWindows: o.BlockWindows, Shuffle: o.Shuffle,
	}
	if h, ok := t.(interface{ Hash() string }); ok {
		l.cursor.Tokenizer = h.Hash()
	}
	return l, nil
}

// Next hands out the next batch. It never returns io.EOF: epochs go on. A
// cancelled context loses nothing; a later Next goes on where this one
// stopped. Any other error stays until Seek.
func (l *Loader) Next(ctx context.Context) (Batch, error) {
	if l.closed {
		return Batch{}, ErrClosed
	}
	if l.err != nil {
		return Batch{}, l.err
	}
	if err := ctx.Err(); err != nil {
		return Batch{}, err
	}
	if l.running == nil {
		l.running = l.read()
	}
	seqLen := l.options.SeqLen
	for len(l.inputs) < l.options.BatchSize*seqLen {
		if l.current == nil || l.used == len(l.current.windows) {
			if err := l.receive(ctx); err != nil {
				return Batch{}, err
			}
		}
		window := l.current.tokens[l.current.windows[l.used]*seqLen:]
		l.inputs = append(l.inputs, window[:seqLen]...)
		l.targets = append(l.targets, window[1:1+seqLen]...)
		l.used++
	}
	b := NewBatch(l.inputs, l.targets)
	l.inputs, l.targets = nil, nil
	l.handedOut()
	return b, nil
}

// receive waits for the next block.
func (l *Loader) receive(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case b, ok := <-l.running.blocks:
		if !ok {
			l.err = l.running.err
			return l.err
		}
		resumed := l.current == nil
		l.current, l.used = b, 0
		if resumed { // at the cursor
			if l.cursor.Window > len(b.windows) {
				l.err = fmt.Errorf("the cursor points at window %d of a block of %d", l.cursor.Window, len(b.windows))
				return l.err
			}
			l.used = l.cursor.Window
		}
		return nil
	}
}

// handedOut moves the cursor and the counts behind the last batch.
func (l *Loader) handedOut() {
	b, c := l.current, &l.cursor
	c.place(b.number, b.start)
	c.Window = l.used
	if l.used == len(b.windows) {
		c.place(b.number+1, b.end)
		c.Window = 0
	}
	c.Windows += int64(l.options.BatchSize)
	l.stats = l.statsAt(b.end)
	l.stats.Epoch = b.start.epoch
}

// statsAt counts the rows up to and including the one that m is in.
func (l *Loader) statsAt(m mark) Stats {
	rows := int64(m.epoch)*l.shards.Rows() + l.shards.shards[m.at.Shard].first + m.at.Row + 1
	return Stats{
		Rows: rows, Dropped: m.dropped, Documents: rows - m.dropped.Total(),
		Tokens: l.cursor.Windows * int64(l.options.SeqLen),
		Epoch:  m.epoch,
	}
}

// Stats are the counts as of the last batch handed out.
func (l *Loader) Stats() Stats { return l.stats }

// Cursor is the position after the last batch handed out.
func (l *Loader) Cursor() Cursor { return l.cursor }

// Seek moves to a cursor: the batches from Next on are bit for bit those that
// followed it. At most one block is read again. A cursor of other data, another
// tokenizer or other options is refused, and the Loader stays where it is.
func (l *Loader) Seek(c Cursor) error {
	if l.closed {
		return ErrClosed
	}
	if err := l.cursor.compatible(c); err != nil {
		return err
	}
	if c.Epoch < 0 || c.Shard < 0 || c.Shard >= len(l.shards.Files) || c.Row < 0 || c.Row >= l.shards.shards[c.Shard].rows ||
		c.Offset < 0 || c.Block < 0 || c.Window < 0 || c.Windows < 0 {
		return fmt.Errorf("the cursor points outside the data: epoch %d, shard %d of %d, row %d, token %d, block %d, window %d",
			c.Epoch, c.Shard, len(l.shards.Files), c.Row, c.Offset, c.Block, c.Window)
	}
	l.halt()
	l.current, l.used, l.inputs, l.targets, l.err = nil, 0, nil, nil, nil
	l.cursor = c
	l.stats = l.statsAt(c.mark())
	return nil
}

// Close stops the background goroutine and waits for it. A second Close does
// nothing.
func (l *Loader) Close() error {
	l.closed = true
	l.halt()
	return nil
}

// read starts the background goroutine at the cursor.
func (l *Loader) read() *reading {
	ctx, stop := context.WithCancel(context.Background())
	r := &reading{blocks: make(chan *block, 1), stop: stop}
	p := &packer{shards: l.shards, encoder: l.encoder, options: l.options, number: l.cursor.Block}
	from := l.cursor.mark()
	go func() {
		defer close(r.blocks)
		r.err = p.run(ctx, from, func(b *block) error {
			select {
			case r.blocks <- b:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	return r
}

// halt ends the background goroutine, if there is one.
func (l *Loader) halt() {
	if l.running == nil {
		return
	}
	l.running.stop()
	for range l.running.blocks { // until it is closed
	}
	l.running = nil
}
