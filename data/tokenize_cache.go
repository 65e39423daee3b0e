package data

import (
	"bufio"
	"cmp"
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
)

// partBytes is about how much of a shard's file goes into a part, in whole row
// groups: enough to make files few, little enough that an interruption costs
// little.
const partBytes = 32 << 20

// TokenizeOptions say how a cache is made.
type TokenizeOptions struct {
	Workers int // goroutines that tokenize; 0 = 1
	// Progress hears how many rows of how many are done, and ids written. It is
	// called by one goroutine at a time.
	Progress func(rows, total, tokens int64)
}

// Tokenized is what Tokenize did.
type Tokenized struct {
	*Cache
	Reused int // parts that were there before
}

// Tokenize writes the cache of shards into dir. Parts that an interrupted call
// left there are kept if their checksums are right; those of a complete cache
// too, so that damaged ones are made again. Every part, and at last the index,
// appears whole or not at all.
func Tokenize(ctx context.Context, s *Shards, t Tokenizer, dir string, o TokenizeOptions) (Tokenized, error) {
	enc, err := newEncoder(t)
	if err != nil {
		return Tokenized{}, err
	}
	if hashOf(t) == "" {
		return Tokenized{}, errors.New("a tokenizer without a hash cannot have a cache: nothing would tell it from another")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Tokenized{}, err
	}
	w := &cacheWriter{shards: s, dir: dir, options: o, info: CacheInfo{
		Format: cacheFormat, Data: s.Identity(), Tokenizer: hashOf(t), Vocab: t.VocabSize(), EndOfText: enc.eot, Width: 4, Parts: s.parts(),
	}}
	if t.VocabSize() <= 1<<16 {
		w.info.Width = 2
	}
	workers := max(1, o.Workers)
	together := min(workers, len(w.info.Parts))
	w.source = textTokens{s, enc, max(1, workers/together)}
	reused, err := w.writeParts(ctx, together)
	if err != nil {
		return Tokenized{}, err
	}
	for _, p := range w.info.Parts {
		for _, g := range p.Groups {
			w.info.Rows += g.Rows
			w.info.Dropped = w.info.Dropped.plus(g.Dropped)
			w.info.Tokens += g.Tokens
			w.info.TextBytes += g.TextBytes
		}
	}
	w.info.Documents = w.info.Rows - w.info.Dropped.Total()
	content, err := json.MarshalIndent(w.info, "", " ")
	if err != nil {
		return Tokenized{}, err
	}
	if err := writeWhole(filepath.Join(dir, cacheIndex), func(f *os.File) error { _, err := f.Write(content); return err }); err != nil {
		return Tokenized{}, err
	}
	// What interrupted calls left.
	left, _ := filepath.Glob(filepath.Join(dir, "*"+temporary))
	for _, path := range left {
		os.Remove(path)
	}
	c, err := OpenCache(dir)
	return Tokenized{c, reused}, err
}

// parts divides the row groups: a function of the shards alone.
func (s *Shards) parts() []partInfo {
	var list []partInfo
	for i, l := range s.shards {
		size, all := int64(partBytes), float64(l.rows())
		for g, rows := range l.groups {
			if size >= partBytes {
				list = append(list, partInfo{File: fmt.Sprintf("%05d-%05d%s", i, g, partSuffix), Shard: i, First: g})
				size = 0
			}
			p := &list[len(list)-1]
			p.Groups = append(p.Groups, groupInfo{Rows: rows})
			size += int64(float64(l.size) * float64(rows) / all)
		}
	}
	return list
}

type cacheWriter struct {
	shards  *Shards
	source  textTokens
	dir     string
	options TokenizeOptions
	info    CacheInfo

	mu           sync.Mutex
	rows, tokens int64 // done
}

// writeParts makes what is missing, some at a time.
func (w *cacheWriter) writeParts(ctx context.Context, together int) (reused int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	next := make(chan *partInfo)
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

func (w *cacheWriter) done(rows, tokens int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rows += rows
	w.tokens += tokens
	if w.options.Progress != nil {
		w.options.Progress(w.rows, w.shards.Rows(), w.tokens)
	}
}

// trailer ends a part, after its JSON and the length of that in 4 bytes.
const trailer = "steptok1"

// partTrailer is a part's own index, so that an interrupted call can be gone on
// with.
type partTrailer struct {
	Data      string   `json:"data"`
	Tokenizer string   `json:"tokenizer"`
	Part      partInfo `json:"part"`
}

// keep fills a part's index from its file, if that is there and whole.
func (w *cacheWriter) keep(p *partInfo) (bool, error) {
	f, err := os.Open(filepath.Join(w.dir, p.File))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	found, ok := readTrailer(f)
	if !ok || found.Data != w.info.Data || found.Tokenizer != w.info.Tokenizer || found.Part.First != p.First || len(found.Part.Groups) != len(p.Groups) {
		return false, nil
	}
	offset := int64(0)
	for i, g := range found.Part.Groups {
		if g.Rows != p.Groups[i].Rows || checkGroup(f, offset, g, w.info.Width) != nil {
			return false, nil
		}
		offset += g.size(w.info.Width)
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
func (w *cacheWriter) write(ctx context.Context, p *partInfo) error {
	return writeWhole(filepath.Join(w.dir, p.File), func(f *os.File) error {
		out := bufio.NewWriterSize(f, 1<<20)
		for i := range p.Groups {
			if err := w.group(ctx, out, unit{p.Shard, p.First + i}, &p.Groups[i]); err != nil {
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
func (w *cacheWriter) group(ctx context.Context, out io.Writer, u unit, g *groupInfo) error {
	*g = groupInfo{Rows: g.Rows}
	sum := crc32.New(castagnoli)
	out = io.MultiWriter(out, sum)
	var raw []byte
	table := make([]byte, 0, 4*g.Rows)
	for r, err := range w.source.tokens(ctx, []unit{u}, 0) {
		if err != nil {
			return err
		}
		if r.dropped != kept {
			g.Dropped.add(r.dropped, r.rows)
			for range r.rows {
				table = binary.LittleEndian.AppendUint32(table, droppedRow|uint32(r.dropped))
			}
			continue
		}
		raw = raw[:0]
		for _, id := range r.ids {
			if w.info.Width == 2 {
				raw = binary.LittleEndian.AppendUint16(raw, uint16(id))
			} else {
				raw = binary.LittleEndian.AppendUint32(raw, id)
			}
		}
		if _, err := out.Write(raw); err != nil {
			return err
		}
		table = binary.LittleEndian.AppendUint32(table, uint32(len(r.ids)))
		g.Tokens += int64(len(r.ids))
		g.TextBytes += r.bytes
	}
	if n := int64(len(table)) / 4; n != g.Rows {
		return fmt.Errorf("%s: row group %d gave %d rows of %d", w.shards.Files[u.shard], u.group, n, g.Rows)
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

// temporary ends the name of a file that is being written.
const temporary = ".tmp"

// writeWhole writes a file that appears whole or not at all.
func writeWhole(path string, write func(f *os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*"+temporary)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	err = write(f)
	if err == nil {
		err = cmp.Or(f.Chmod(0o644), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
