package data

import (
	"context"
	"fmt"
	"slices"
	"sort"
)

// mark is a place in the endless token stream: an id of a document's ids and
// end-of-text, in an epoch.
type mark struct {
	epoch   int
	at      Position
	offset  int     // ids of the document before it
	dropped Dropped // rows before the document, over all epochs
}

// block is consecutive windows and the order in which they are handed out.
type block struct {
	number  int64
	start   mark
	end     mark // where the next block starts: the last window's last target
	tokens  []uint32
	windows []int // permuted; window i is tokens[i*T : i*T+T+1]
}

// packer cuts the token stream into blocks. What it sends depends on the
// shards, the options and the mark it starts from, and on nothing else; a run
// started at a block's end mark sends the following blocks bit for bit.
type packer struct {
	shards  *Shards
	encoder encoder
	options Options

	number int64
	tokens []uint32 // of the block being filled
	pieces []piece  // which document each of them is from
}

// piece is where a document's ids begin in the block being filled.
type piece struct {
	index int
	from  mark
}

// run sends blocks until the context ends or an error comes up.
func (p *packer) run(ctx context.Context, from mark, send func(*block) error) error {
	need := int64(p.options.BatchSize)*int64(p.options.SeqLen) + 1
	dropped, skip := from.dropped, from.offset
	whole := from.at == (Position{}) && skip == 0
	for epoch := from.epoch; ; epoch++ {
		var tokens int64
		for row, err := range p.shards.rowsFrom(from.at) {
			if err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if row.dropped != kept {
				dropped.add(row.dropped, row.rows)
				continue
			}
			doc := row.Document
			ids, err := p.encoder.encode(doc)
			if err != nil {
				return fmt.Errorf("%s: %w", p.shards.Files[doc.Shard], err)
			}
			if skip >= len(ids) {
				return fmt.Errorf("%s: row %d has %d tokens, but the cursor points at number %d; was it saved with another tokenizer?",
					p.shards.Files[doc.Shard], doc.Row, len(ids), skip)
			}
			at := mark{epoch: epoch, at: Position{doc.Shard, doc.Row}, offset: skip, dropped: dropped}
			tokens += int64(len(ids))
			if err := p.add(ids[skip:], at, send); err != nil {
				return err
			}
			skip = 0
		}
		if whole && tokens < need {
			left := ""
			if n := dropped.Skipped + dropped.Filtered(); n > 0 {
				left = fmt.Sprintf(" after %d of %d rows were left out", n, p.shards.Rows())
			}
			return fmt.Errorf("the data has %d tokens in all%s, fewer than one batch of %d windows of %d (+1) = %d; add data, or lower the batch size or the sequence length",
				tokens, left, p.options.BatchSize, p.options.SeqLen, need)
		}
		// The epoch's last whole windows make a block of their own; the rest
		// waits for the next epoch's first ids.
		if n := (len(p.tokens) - 1) / p.options.SeqLen; n > 0 {
			if err := p.cut(n, send); err != nil {
				return err
			}
		}
		from.at, whole = Position{}, true
	}
}

// add appends a document's ids and sends the blocks that they fill.
func (p *packer) add(ids []uint32, at mark, send func(*block) error) error {
	full := p.options.BlockWindows*p.options.SeqLen + 1
	p.pieces = append(p.pieces, piece{index: len(p.tokens), from: at})
	for len(ids) > 0 {
		n := min(full-len(p.tokens), len(ids))
		p.tokens = append(p.tokens, ids[:n]...)
		ids = ids[n:]
		if len(p.tokens) == full {
			if err := p.cut(p.options.BlockWindows, send); err != nil {
				return err
			}
		}
	}
	return nil
}

// cut sends the first n windows as a block and keeps what follows their inputs.
func (p *packer) cut(n int, send func(*block) error) error {
	used := n * p.options.SeqLen
	b := &block{
		number: p.number,
		start:  p.markAt(0),
		end:    p.markAt(used),
		tokens: p.tokens[:used+1],
	}
	if p.options.Shuffle {
		b.windows = permutation(p.options.Seed, b.start.epoch, b.number, n)
	} else {
		for i := range n {
			b.windows = append(b.windows, i)
		}
	}
	last := p.pieceAt(used)
	p.pieces = slices.Clone(p.pieces[last:])
	p.pieces[0] = piece{from: b.end}
	for i := range p.pieces[1:] {
		p.pieces[i+1].index -= used
	}
	p.tokens = slices.Clone(p.tokens[used:]) // the block keeps the old memory
	p.number++
	return send(b)
}

// pieceAt is the number of the piece that holds token i of the block being filled.
func (p *packer) pieceAt(i int) int {
	return sort.Search(len(p.pieces), func(k int) bool { return p.pieces[k].index > i }) - 1
}

// markAt is the mark of token i of the block being filled.
func (p *packer) markAt(i int) mark {
	piece := p.pieces[p.pieceAt(i)]
	m := piece.from
	m.offset += i - piece.index
	return m
}
