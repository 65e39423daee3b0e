package cache

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"

	"steplm/data/internal/shard"
	"steplm/internal/disk"
)

// partBytes is about how much of a shard's file goes into a part, in whole row
// groups: enough to make files few, little enough that an interruption costs
// little.
const partBytes = 32 << 20

// lockFile is held by the process that writes a cache.
const lockFile = ".lock"

// Options say how a cache is made.
type Options struct {
	Workers int // goroutines that tokenize; 0 = 1
	// Progress hears how many rows of how many are done, and ids written. It is
	// called by one goroutine at a time.
	Progress func(rows, total, tokens int64)
}

// Written is what Tokenize did.
type Written struct {
	*Cache
	Reused int // parts that were there before
}

// Text is the text that a cache is made of.
type Text struct {
	Files   []string       // of each shard
	Layouts []shard.Layout // likewise
	// Source tokenizes row groups in so many goroutines.
	Source func(workers int) shard.TokenSource
}

// Write writes the cache of a text into dir. Parts that an interrupted call left
// there are kept if their checksums are right; those of a complete cache too, so that
// damaged ones are made again. Every part, and at last the index, appears whole or
// not at all. One process at a time writes a cache; for another it is an error.
func Write(ctx context.Context, dir string, key Key, text Text, o Options) (Written, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Written{}, err
	}
	lock, err := disk.TryLock(filepath.Join(dir, lockFile))
	if err != nil && !disk.Unsupported(err) {
		return Written{}, err
	}
	if err == nil && lock == nil {
		return Written{}, fmt.Errorf("%s: another process writes this token cache: wait until it ends", dir)
	}
	defer lock.Release()
	w := &writer{text: text, dir: dir, options: o, info: Info{
		Format: formatVersion, Data: key.Data, Tokenizer: key.Tokenizer, Vocab: key.Vocab, EndOfText: key.EndOfText,
		Width: 4,
		Parts: partsOf(text.Layouts),
	}}
	if key.Vocab <= 1<<16 {
		w.info.Width = 2
	}
	for _, l := range text.Layouts {
		w.total += l.Rows()
	}
	workers := max(1, o.Workers)
	together := min(workers, len(w.info.Parts))
	w.source = text.Source(max(1, workers/together))
	reused, err := w.writeParts(ctx, together)
	if err != nil {
		return Written{}, err
	}
	for _, p := range w.info.Parts {
		for _, g := range p.Groups {
			w.info.Rows += g.Rows
			w.info.Dropped = w.info.Dropped.Plus(g.Dropped)
			w.info.Tokens += g.Tokens
			w.info.TextBytes += g.TextBytes
		}
	}
	w.info.Documents = w.info.Rows - w.info.Dropped.Total()
	content, err := json.MarshalIndent(w.info, "", " ")
	if err != nil {
		return Written{}, err
	}
	if err := disk.Write(filepath.Join(dir, Index),
		func(f *os.File) error { _, err := f.Write(content); return err }); err != nil {
		return Written{}, err
	}
	if lock != nil { // Nobody else writes: these are what interrupted calls left.
		left, _ := filepath.Glob(filepath.Join(dir, "*"+disk.Temporary))
		for _, path := range left {
			os.Remove(path)
		}
	}
	c, err := Open(dir)
	return Written{c, reused}, err
}

// partsOf divides the row groups: a function of the layouts alone.
func partsOf(layouts []shard.Layout) []PartInfo {
	var list []PartInfo
	for i, l := range layouts {
		size, all := int64(partBytes), float64(l.Rows())
		for g, rows := range l.Groups {
			if size >= partBytes {
				list = append(list, PartInfo{File: fmt.Sprintf("%05d-%05d%s", i, g, partSuffix), Shard: i, First: g})
				size = 0
			}
			p := &list[len(list)-1]
			p.Groups = append(p.Groups, GroupInfo{Rows: rows})
			size += int64(float64(l.Size) * float64(rows) / all)
		}
	}
	return list
}

type writer struct {
	text    Text
	source  shard.TokenSource
	total   int64 // rows
	dir     string
	options Options
	info    Info

	mu           sync.Mutex
	rows, tokens int64 // done
}

// writeParts makes what is missing, some at a time.
func (w *writer) writeParts(ctx context.Context, together int) (reused int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	next := make(chan *PartInfo)
	for range together {
		workers.Go(func() {
			for p := range next {
				kept, err := w.keep(p)
				if err == nil && !kept {
					err = w.write(ctx, p)
				}
				if err != nil {
					cancel(err) // only the first is kept: the others are its consequences
					return
				}
				if kept {
					w.mu.Lock()
					reused++
					w.mu.Unlock()
				}
			}
		})
	}
feed:
	for i := range w.info.Parts {
		select {
		case next <- &w.info.Parts[i]:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	workers.Wait()
	return reused, context.Cause(ctx)
}

func (w *writer) done(rows, tokens int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rows += rows
	w.tokens += tokens
	if w.options.Progress != nil {
		w.options.Progress(w.rows, w.total, w.tokens)
	}
}

// trailer ends a part, after its JSON and the length of that in 4 bytes.
const trailer = "steptok1"

// partTrailer is a part's own index, so that an interrupted call can be gone on
// with.
type partTrailer struct {
	Data      string   `json:"data"`
	Tokenizer string   `json:"tokenizer"`
	Part      PartInfo `json:"part"`
}

// keep fills a part's index from its file, if that is there and whole.
func (w *writer) keep(p *PartInfo) (bool, error) {
	f, err := os.Open(filepath.Join(w.dir, p.File))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	found, ok := readTrailer(f)
	if !ok || found.Data != w.info.Data || found.Tokenizer != w.info.Tokenizer || found.Part.First != p.First ||
		len(found.Part.Groups) != len(p.Groups) {
		return false, nil
	}
	offset := int64(0)
	for i, g := range found.Part.Groups {
		if g.Rows != p.Groups[i].Rows || checkGroup(f, offset, g, w.info) != nil {
			return false, nil
		}
		offset += g.Size(w.info.Width)
	}
	p.Groups = found.Part.Groups
	for _, g := range p.Groups {
		w.done(g.Rows, g.Tokens)
	}
	return true, nil
}

func readTrailer(f *os.File) (t partTrailer, ok bool) {
	info, err := f.Stat()
	if err != nil || info.Size() < int64(len(trailer))+4 {
		return t, false
	}
	end := make([]byte, 4+len(trailer))
	if _, err := f.ReadAt(end, info.Size()-int64(len(end))); err != nil || string(end[4:]) != trailer {
		return t, false
	}
	n := int64(binary.LittleEndian.Uint32(end))
	if n > info.Size()-int64(len(end)) {
		return t, false
	}
	content := make([]byte, n)
	if _, err := f.ReadAt(content, info.Size()-int64(len(end))-n); err != nil {
		return t, false
	}
	return t, json.Unmarshal(content, &t) == nil
}

// write makes a part.
func (w *writer) write(ctx context.Context, p *PartInfo) error {
	return disk.Write(filepath.Join(w.dir, p.File), func(f *os.File) error {
		out := bufio.NewWriterSize(f, 1<<20)
		for i := range p.Groups {
			if err := w.group(ctx, out, shard.Unit{Shard: p.Shard, Group: p.First + i}, &p.Groups[i]); err != nil {
				return err
			}
		}
		content, err := json.Marshal(partTrailer{w.info.Data, w.info.Tokenizer, *p})
		if err != nil {
			return err
		}
		out.Write(content)
		out.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(content))))
		out.WriteString(trailer)
		return out.Flush() // bufio keeps the first error
	})
}

// group writes a row group and fills its index.
func (w *writer) group(ctx context.Context, out io.Writer, u shard.Unit, g *GroupInfo) error {
	*g = GroupInfo{Rows: g.Rows}
	sum := crc32.New(castagnoli)
	out = io.MultiWriter(out, sum)
	var raw []byte
	table := make([]byte, 0, 4*g.Rows)
	for r, err := range w.source.Tokens(ctx, []shard.Unit{u}, 0) {
		if err != nil {
			return err
		}
		if r.Dropped != shard.Kept {
			g.Dropped.Add(r.Dropped, r.Rows)
			for range r.Rows {
				table = binary.LittleEndian.AppendUint32(table, droppedRow|uint32(r.Dropped))
			}
			continue
		}
		raw = raw[:0]
		for _, id := range r.IDs {
			if w.info.Width == 2 {
				raw = binary.LittleEndian.AppendUint16(raw, uint16(id))
			} else {
				raw = binary.LittleEndian.AppendUint32(raw, id)
			}
		}
		if _, err := out.Write(raw); err != nil {
			return err
		}
		table = binary.LittleEndian.AppendUint32(table, uint32(len(r.IDs)))
		g.Tokens += int64(len(r.IDs))
		g.TextBytes += r.Bytes
	}
	if n := int64(len(table)) / 4; n != g.Rows {
		return fmt.Errorf("%s: row group %d gave %d rows of %d", w.text.Files[u.Shard], u.Group, n, g.Rows)
	}
	size := g.Tokens * int64(w.info.Width)
	_, err := out.Write(make([]byte, pad(size)-size))
	if _, e := out.Write(table); err == nil {
		err = e
	}
	g.CRC = sum.Sum32()
	w.done(g.Rows, g.Tokens)
	return err
}
