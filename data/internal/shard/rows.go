package shard

import (
	"context"
	"iter"
)

// Unit is a row group of a shard: what is read by itself.
type Unit struct{ Shard, Group int }

// Position is a row of a set of shards: the next one to read.
type Position struct {
	Shard int   `json:"shard"`
	Row   int64 `json:"row"`
}

// Tokenized is a row as packing sees it: a document's ids, or a row or more that
// are no documents.
type Tokenized struct {
	Position
	IDs     []uint32 // with the end-of-text id; valid until the next row
	Dropped Reason
	Rows    int64
	Bytes   int64 // of the document's text, where that was read
}

// TokenSource yields the rows of row groups, in the order in which they are
// listed, of the first one's shard only from a row on. Two sources of the same
// shards and the same tokenizer may differ in how they divide rows that are no
// documents, and in nothing else.
type TokenSource interface {
	Tokens(ctx context.Context, units []Unit, from int64) iter.Seq2[Tokenized, error]
}
