package data

import "fmt"

// orderVersion is the version of the order in which data are read; a cursor says
// nothing in another. 1, which no cursor names, read shards in file order.
const orderVersion = 2

// Cursor is a position in a Loader's sequence of batches, to be saved as JSON. It
// is the same for every process that shares in a sequence.
type Cursor struct {
	// Of which sequence:
	Order        int    `json:"order"`               // orderVersion
	Tokenizer    string `json:"tokenizer,omitempty"` // its Hash, where it has one
	Vocab        int    `json:"vocab"`
	SeqLen       int    `json:"seq_len"`
	Seed         uint64 `json:"seed"`
	BlockWindows int    `json:"block_windows"`
	Shuffle      bool   `json:"shuffle"`

	Windows int64          `json:"windows"` // handed out since the beginning, to all processes
	Sources []SourceCursor `json:"sources"`
}

// SourceCursor is the place in one source: where in its token stream the current
// block starts, and how much of the block, and of the run, was handed out.
type SourceCursor struct {
	Data   string `json:"data"`   // Shards.Identity
	Weight uint64 `json:"weight"` // of all sources' 2^32

	Block   int64 `json:"block"`
	Epoch   int   `json:"epoch"`
	Shard   int   `json:"shard"`
	Row     int64 `json:"row"`
	Offset  int   `json:"offset"` // ids of the row's document before the block
	Rows    int64 `json:"rows"`   // rows before that row, over all epochs
	Dropped       // of them

	Window  int   `json:"window"`  // windows of the block handed out
	Windows int64 `json:"windows"` // windows handed out since the beginning
}

// mark is where the cursor's block starts.
func (c SourceCursor) mark() mark {
	return mark{epoch: c.Epoch, at: Position{Shard: c.Shard, Row: c.Row}, offset: c.Offset, rows: c.Rows,
		dropped: c.Dropped}
}

// place sets the block and where it starts.
func (c *SourceCursor) place(block int64, m mark) {
	c.Block, c.Epoch, c.Shard, c.Row, c.Offset, c.Rows, c.Dropped = block, m.epoch, m.at.Shard, m.at.Row, m.offset,
		m.rows, m.dropped
}

// Compatible says what keeps another cursor from being one of this sequence.
func (c Cursor) Compatible(other Cursor) error {
	if other.Order != c.Order && len(other.Sources) == 0 {
		return fmt.Errorf("the cursor is of a version of this program that read data in another order (order %d, "+
			"here it is %d); go on with that version, or begin a new run",
			max(other.Order, 1), c.Order)
	}
	type field struct {
		name       string
		here, that any
	}
	fields := []field{
		{"order", c.Order, other.Order},
		{"number of sources", len(c.Sources), len(other.Sources)},
		{"tokenizer", c.Tokenizer, other.Tokenizer},
		{"vocabulary size", c.Vocab, other.Vocab},
		{"sequence length", c.SeqLen, other.SeqLen},
		{"seed", c.Seed, other.Seed},
		{"windows per block", c.BlockWindows, other.BlockWindows},
		{"shuffling", c.Shuffle, other.Shuffle},
	}
	for i := range min(len(c.Sources), len(other.Sources)) {
		fields = append(fields,
			field{"data (file names, sizes, rows and footers, filters)", c.Sources[i].Data, other.Sources[i].Data},
			field{"weight of a source", c.Sources[i].Weight, other.Sources[i].Weight})
	}
	for _, f := range fields {
		if f.here != f.that {
			return fmt.Errorf("the cursor belongs to another run: its %s is %v, here it is %v", f.name, f.that, f.here)
		}
	}
	return nil
}

// check refuses places that cannot be.
func (c SourceCursor) check(s *Shards) error {
	if c.Epoch < 0 || c.Shard < 0 || c.Shard >= len(s.Files) || c.Row < 0 || c.Row >= s.shards[c.Shard].Rows() ||
		c.Offset < 0 || c.Block < 0 || c.Window < 0 || c.Windows < 0 || c.Rows < 0 {
		return fmt.Errorf("the cursor points outside the data: epoch %d, shard %d of %d, row %d, token %d, block "+
			"%d, window %d",
			c.Epoch, c.Shard, len(s.Files), c.Row, c.Offset, c.Block, c.Window)
	}
	return nil
}
