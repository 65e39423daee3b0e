package data

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"steplm/data/internal/permute"
	"steplm/data/internal/shard"
)

// mark is a place in the endless token stream: an id of a document's ids and
// end-of-text, in an epoch.
type mark struct {
	epoch   int
	at      Position
	offset  int     // ids of the document before it
	rows    int64   // before the document, over all epochs
	dropped Dropped // of them
}

// start tells the place where a run begins. Every other has rows before it, or
// ids of its row.
func (m mark) start() bool { return m.rows == 0 && m.offset == 0 }

// block is consecutive windows and the order in which they are handed out.
type block struct {
	number  int64
	start   mark
	end     mark  // where the next block starts: the last window's last target
	rows    int64 // read when it was cut, over all epochs; at an epoch's end all of it
	dropped Dropped
	tokens  []uint32
	begins  []int // tokens with which a document begins, ascending
	windows []int // permuted; window i is tokens[i*T : i*T+T+1]
}

// window is T inputs and, one further, T targets.
type window struct {
	ids    []uint32 // (T+1)
	from   int      // its first input's number in the block
	begins []int    // tokens of the block with which a document begins, from the first after from on
}

// window is number i of those that are handed out.
func (b *block) window(i, seqLen int) window {
	from := b.windows[i] * seqLen
	return window{b.tokens[from:][:seqLen+1], from, b.begins[sort.SearchInts(b.begins, from+1):]}
}

// appendBegins appends where the document of each input begins, as a Batch has it.
func (w window) appendBegins(to []uint32) []uint32 {
	begin, left := 0, w.begins
	for i := range len(w.ids) - 1 {
		if len(left) > 0 && left[0] == w.from+i {
			begin, left = i, left[1:]
		}
		to = append(to, uint32(begin))
	}
	return to
}

// packer cuts the token stream into blocks. What it sends depends on the
// shards, the options and the mark it starts from, and on nothing else; a run
// started at a block's end mark sends the following blocks bit for bit.
type packer struct {
	shards  *Shards
	source  shard.TokenSource
	options Options
	need    int64 // ids that an epoch must have

	rows    int64 // read so far
	dropped Dropped

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
	p.rows, p.dropped = from.rows, from.dropped
	skip := from.offset
	for epoch := from.epoch; ; epoch++ {
		units, row, whole := p.units(epoch, from)
		var tokens int64
		for r, err := range p.source.Tokens(ctx, units, row) {
			if err != nil {
				return err
			}
			if r.Dropped != shard.Kept {
				p.rows += r.Rows
				p.dropped.Add(r.Dropped, r.Rows)
				continue
			}
			if len(r.IDs) == 0 && skip == 0 { // Nothing stands after it either.
				p.rows++
				continue
			}
			if skip >= len(r.IDs) {
				return fmt.Errorf("%s: row %d has %d tokens, but the cursor points at number %d; was it saved "+
					"with another tokenizer?",
					p.shards.Files[r.Shard], r.Row, len(r.IDs), skip)
			}
			at := mark{epoch: epoch, at: r.Position, offset: skip, rows: p.rows, dropped: p.dropped}
			p.rows++
			tokens += int64(len(r.IDs))
			if err := p.add(r.IDs[skip:], at, send); err != nil {
				return err
			}
			skip = 0
		}
		if whole && tokens < p.need {
			left := ""
			if n := p.dropped.Skipped + p.dropped.Filtered(); n > 0 {
				left = fmt.Sprintf(" after %d of %d rows were left out", n, p.shards.Rows())
			}
			batch := fmt.Sprintf("fewer than one batch of %d windows of %d", p.need/int64(p.options.SeqLen),
				p.options.SeqLen)
			return fmt.Errorf("%s: the data has %d tokens in all%s, %s (+1) = %d; add data, or lower the batch "+
				"size or the sequence length",
				p.shards.pattern, tokens, left, batch, p.need)
		}
		// The epoch's last whole windows make a block of their own; the rest
		// waits for the next epoch's first ids.
		if n := (len(p.tokens) - 1) / p.options.SeqLen; n > 0 {
			if err := p.cut(n, send); err != nil {
				return err
			}
		}
	}
}

// units lists the row groups that an epoch reads, of the first one only from a
// row of its shard on, and says whether they are all. The epoch of from begins
// there.
func (p *packer) units(epoch int, from mark) (units []shard.Unit, row int64, whole bool) {
	if p.options.Shuffle {
		units = p.shards.order(p.options.Seed, epoch)
	} else {
		units = p.shards.units()
	}
	if epoch != from.epoch || from.start() {
		return units, 0, true
	}
	at := shard.Unit{Shard: from.at.Shard, Group: p.shards.shards[from.at.Shard].At(from.at.Row)}
	return units[slices.Index(units, at):], from.at.Row, false
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
		rows:   p.rows, dropped: p.dropped,
		tokens: p.tokens[:used+1],
	}
	for _, x := range p.pieces {
		if x.from.offset == 0 && x.index < used { // not the rest of a document that was cut or sought
			b.begins = append(b.begins, x.index)
		}
	}
	if p.options.Shuffle {
		b.windows = permute.Permutation(p.options.Seed, b.start.epoch, b.number, n)
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
	// The block keeps the old memory.
	p.tokens = append(make([]uint32, 0, len(p.tokens)), p.tokens[used:]...)
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
