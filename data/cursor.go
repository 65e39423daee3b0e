package data

import "fmt"

// Cursor is a position in a Loader's sequence of batches, to be saved as JSON.
// The first group of fields says of which sequence; the second is the place in
// the token stream where the current block starts; the third says how much of
// the block, and of the run, was handed out.
type Cursor struct {
	Data         string `json:"data"`                // Shards.Identity
	Tokenizer    string `json:"tokenizer,omitempty"` // its Hash, where it has one
	Vocab        int    `json:"vocab"`
	SeqLen       int    `json:"seq_len"`
	Seed         uint64 `json:"seed"`
	BlockWindows int    `json:"block_windows"`
	Shuffle      bool   `json:"shuffle"`

	Block   int64 `json:"block"`
	Epoch   int   `json:"epoch"`
	Shard   int   `json:"shard"`
	Row     int64 `json:"row"`
	Offset  int   `json:"offset"` // ids of the row's document before the block
	Dropped       // rows before that row, over all epochs

	Window  int   `json:"window"`  // windows of the block handed out
	Windows int64 `json:"windows"` // windows handed out since the beginning
}

// mark is where the cursor's block starts.
func (c Cursor) mark() mark {
	return mark{epoch: c.Epoch, at: Position{c.Shard, c.Row}, offset: c.Offset, dropped: c.Dropped}
}

// place sets the block and where it starts.
func (c *Cursor) place(block int64, m mark) {
	c.Block, c.Epoch, c.Shard, c.Row, c.Offset, c.Dropped = block, m.epoch, m.at.Shard, m.at.Row, m.offset, m.dropped
}

// compatible says what keeps another cursor from being one of this sequence.
func (c Cursor) compatible(other Cursor) error {
	for _, f := range []struct {
		name       string
		here, that any
	}{
		{"data (file names, sizes and rows, filters)", c.Data, other.Data},
		{"tokenizer", c.Tokenizer, other.Tokenizer},
		{"vocabulary size", c.Vocab, other.Vocab},
		{"sequence length", c.SeqLen, other.SeqLen},
		{"seed", c.Seed, other.Seed},
		{"windows per block", c.BlockWindows, other.BlockWindows},
		{"shuffling", c.Shuffle, other.Shuffle},
	} {
		if f.here != f.that {
			return fmt.Errorf("the cursor belongs to another run: its %s is %v, here it is %v", f.name, f.that, f.here)
		}
	}
	return nil
}
