package data

import (
	"context"
	"fmt"

	"steplm/data/internal/shard"
)

// sourceReader is one source's endless sequence of windows.
type sourceReader struct {
	shards  *Shards
	source  shard.TokenSource
	options Options
	need    int64

	cursor SourceCursor // after the last window committed
	stats  Stats
	taken  int64 // windows, those not yet committed too

	running *reading // nil before the first window
	current *block
	used    int // windows of current taken
}

// reading is the background goroutine as the sourceReader sees it.
type reading struct {
	blocks chan *block // closed at the goroutine's end
	stop   context.CancelFunc
	err    error // why it ended; valid once blocks is closed
}

// next is the next window.
func (s *sourceReader) next(ctx context.Context) (window, error) {
	if s.running == nil {
		s.running = s.read()
	}
	for s.current == nil || s.used == len(s.current.windows) {
		if err := s.receive(ctx); err != nil {
			return window{}, err
		}
	}
	w := s.current.window(s.used, s.options.SeqLen)
	s.used++
	s.taken++
	return w, nil
}

// receive waits for the next block.
func (s *sourceReader) receive(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case b, ok := <-s.running.blocks:
		if !ok {
			return s.running.err
		}
		if s.current == nil { // at the cursor
			if s.cursor.Window > len(b.windows) {
				return fmt.Errorf("the cursor points at window %d of a block of %d", s.cursor.Window, len(b.windows))
			}
			s.used = s.cursor.Window
		} else {
			s.used = 0
		}
		s.current = b
		return nil
	}
}

// commit moves the cursor and the counts behind the last window taken.
func (s *sourceReader) commit() {
	if s.current == nil {
		return // none yet, or none since it was sought
	}
	b := s.current
	s.cursor.place(b.number, b.start)
	s.cursor.Window = s.used
	if s.used == len(b.windows) {
		s.cursor.place(b.number+1, b.end)
		s.cursor.Window = 0
	}
	s.cursor.Windows = s.taken
	s.stats = s.statsOf(b.rows, b.dropped, b.end.epoch)
}

func (s *sourceReader) statsOf(rows int64, dropped Dropped, epoch int) Stats {
	return Stats{Rows: rows, Dropped: dropped, Documents: rows - dropped.Total(),
		Tokens: s.taken * int64(s.options.SeqLen), Epoch: epoch}
}

func (s *sourceReader) seek(c SourceCursor) {
	s.halt()
	s.current, s.used, s.cursor, s.taken = nil, 0, c, c.Windows
	s.stats = s.statsOf(c.Rows, c.Dropped, c.Epoch)
}

// read starts the background goroutine at the cursor.
func (s *sourceReader) read() *reading {
	ctx, stop := context.WithCancel(context.Background())
	r := &reading{blocks: make(chan *block, 1), stop: stop}
	p := &packer{shards: s.shards, source: s.source, options: s.options, need: s.need, number: s.cursor.Block}
	from := s.cursor.mark()
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
func (s *sourceReader) halt() {
	if s.running == nil {
		return
	}
	s.running.stop()
	for range s.running.blocks { // until it is closed
	}
	s.running = nil
}
