package data

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"steplm/data/internal/shard"
)

// textTokens reads text and tokenizes it, in several goroutines.
type textTokens struct {
	shards  *Shards
	encoder encoder
	workers int
}

// A chunk is what a worker tokenizes at a time: rows up to one of these limits.
const (
	chunkBytes = 128 << 10
	chunkRows  = 256
)

// chunk is some rows on their way through a worker.
type chunk struct {
	rows []row
	ids  []uint32 // of all rows, once done
	ends []int    // of each row in ids
	size []int64  // bytes of each row's text
	err  error    // what ended the reading, or the encoding, after the rows
	done chan struct{}
}

func (t textTokens) Tokens(ctx context.Context, units []shard.Unit, from int64) iter.Seq2[shard.Tokenized, error] {
	return func(yield func(shard.Tokenized, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer stop()
		ordered := make(chan *chunk, t.workers) // as they were read
		jobs := make(chan *chunk, t.workers)
		running.Go(func() {
			defer close(ordered)
			defer close(jobs)
			t.read(ctx, units, from, func(c *chunk) bool {
				for _, to := range []chan *chunk{ordered, jobs} {
					select {
					case to <- c:
					case <-ctx.Done():
						return false
					}
				}
				return true
			})
		})
		for range t.workers {
			running.Go(func() {
				for c := range jobs {
					if ctx.Err() == nil {
						t.encode(c)
					}
					close(c.done)
				}
			})
		}
		for c := range ordered {
			select {
			case <-c.done:
			case <-ctx.Done():
			}
			if err := ctx.Err(); err != nil {
				yield(shard.Tokenized{}, err)
				return
			}
			start := 0
			for i, end := range c.ends {
				r := c.rows[i]
				out := shard.Tokenized{Position: Position{Shard: r.Shard, Row: r.Row}, Dropped: r.dropped, Rows: r.rows}
				if r.dropped == shard.Kept {
					out.IDs, out.Bytes, start = c.ids[start:end:end], c.size[i], end
				}
				if !yield(out, nil) {
					return
				}
			}
			if c.err != nil {
				yield(shard.Tokenized{}, c.err)
				return
			}
		}
	}
}

// read sends the rows in chunks.
func (t textTokens) read(ctx context.Context, units []shard.Unit, from int64, send func(*chunk) bool) {
	c := &chunk{done: make(chan struct{})}
	size := 0
	for r, err := range t.shards.read(ctx, units, from) {
		if c.err = err; err != nil {
			break
		}
		c.rows = append(c.rows, r)
		c.size = append(c.size, int64(len(r.Text)))
		size += len(r.Text)
		if size >= chunkBytes || len(c.rows) == chunkRows {
			if !send(c) {
				return
			}
			c, size = &chunk{done: make(chan struct{})}, 0
		}
	}
	if len(c.rows) > 0 || c.err != nil {
		send(c)
	}
}

// encode tokenizes a chunk's documents and lets go of their texts.
func (t textTokens) encode(c *chunk) {
	for i := range c.rows {
		r := &c.rows[i]
		if r.dropped == shard.Kept {
			ids, err := t.encoder.append(c.ids, r.Document)
			if err != nil {
				c.err = fmt.Errorf("%s: %w", t.shards.Files[r.Shard], err)
				return
			}
			c.ids = ids
			r.Text = ""
		}
		c.ends = append(c.ends, len(c.ids))
	}
}
