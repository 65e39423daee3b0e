package cache

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sync"

	"steplm/data/internal/shard"
)

const (
	formatVersion = 1
	Index         = "cache.json" // written last: without it there is no cache
	partSuffix    = ".tokens"
)

// Cache is the ids of a set of shards' documents, tokenized once and kept in a
// directory. Its parts hold the rows of some row groups each:
//
//	ids      of all documents of a row group, end-of-text ids included, 2 or 4
//	         bytes each, little-endian; 2 where the vocabulary allows it
//	padding  to a multiple of 4 bytes
//	rows     4 bytes a row: a document's number of ids, or droppedRow plus why
//	         the row is none
//
// and so on for the next row group. The index says what is where, with a
// checksum for each row group, which is compared when that is first read. A
// Cache is safe for concurrent use.
type Cache struct {
	Dir  string
	Info Info

	places   map[shard.Unit]place
	mu       sync.Mutex
	verified map[shard.Unit]bool
}

// Info is the index of a Cache.
type Info struct {
	Format    int    `json:"format"`
	Data      string `json:"data"`      // Shards.Identity
	Tokenizer string `json:"tokenizer"` // its Hash
	Vocab     int    `json:"vocab"`
	EndOfText uint32 `json:"end_of_text"`
	Width     int    `json:"bytes_per_id"`

	Rows          int64 `json:"rows"`
	shard.Dropped       // of them
	Documents     int64 `json:"documents"` // the others
	Tokens        int64 `json:"tokens"`    // end-of-text ids included
	TextBytes     int64 `json:"text_bytes"`

	Parts []PartInfo `json:"parts"`
}

// PartInfo is a file of a Cache.
type PartInfo struct {
	File   string      `json:"file"`
	Shard  int         `json:"shard"`
	First  int         `json:"first_group"`
	Groups []GroupInfo `json:"groups"` // from First on
}

// GroupInfo is a row group in a part.
type GroupInfo struct {
	Rows      int64  `json:"rows"`
	Tokens    int64  `json:"tokens"`
	TextBytes int64  `json:"text_bytes"`
	CRC       uint32 `json:"crc32c"`
	shard.Dropped
}

// Size is how many bytes a row group takes.
func (g GroupInfo) Size(width int) int64 { return pad(g.Tokens*int64(width)) + 4*g.Rows }

func pad(n int64) int64 { return (n + 3) &^ 3 }

// place is where a row group lies.
type place struct {
	file   string
	offset int64
	first  int64 // row of its shard
	GroupInfo
}

// droppedRow marks a row that is no document; its reason is added to it.
const droppedRow = 1 << 31

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Key is what a cache is of.
type Key struct {
	Data      string // Shards.Identity
	Tokenizer string // its hash
	Vocab     int
	EndOfText uint32
}

// Dir is the directory below root of the cache of data and a tokenizer.
func Dir(root, identity, tokenizer string) string {
	h := sha256.Sum256([]byte(identity + "\n" + tokenizer))
	return filepath.Join(root, hex.EncodeToString(h[:8]))
}

// Open opens a complete cache. The ids are read when they are needed.
func Open(dir string) (*Cache, error) {
	path := filepath.Join(dir, Index)
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := &Cache{Dir: dir, places: map[shard.Unit]place{}, verified: map[shard.Unit]bool{}}
	if err := json.Unmarshal(content, &c.Info); err != nil {
		return nil, fmt.Errorf("token cache %s: %w; remove the directory", path, err)
	}
	if c.Info.Format != formatVersion {
		return nil, fmt.Errorf("token cache %s has format %d, this version reads %d; remove the directory", path,
			c.Info.Format, formatVersion)
	}
	if c.Info.Width != 2 && c.Info.Width != 4 {
		return nil, fmt.Errorf("token cache %s: ids of %d bytes; remove the directory", path, c.Info.Width)
	}
	rows := map[int]int64{} // of each shard so far: its parts are listed in order
	for _, p := range c.Info.Parts {
		offset := int64(0)
		for i, g := range p.Groups {
			c.places[shard.Unit{Shard: p.Shard, Group: p.First + i}] = place{filepath.Join(dir, filepath.Base(p.File)),
				offset, rows[p.Shard], g}
			offset += g.Size(c.Info.Width)
			rows[p.Shard] += g.Rows
		}
	}
	return c, nil
}

// Matches says why a cache is not that of shards of such layouts and a tokenizer.
func (c *Cache) Matches(key Key, layouts []shard.Layout) error {
	for _, f := range []struct {
		name       string
		here, that any
	}{
		{"data (file names, sizes, rows and footers, filters)", key.Data, c.Info.Data},
		{"tokenizer", key.Tokenizer, c.Info.Tokenizer},
		{"vocabulary size", key.Vocab, c.Info.Vocab},
		{"end-of-text id", key.EndOfText, c.Info.EndOfText},
	} {
		if f.here != f.that {
			return fmt.Errorf("token cache %s: its %s is %v, here it is %v", c.Dir, f.name, f.that, f.here)
		}
	}
	for i, l := range layouts {
		for group, rows := range l.Groups {
			if p, ok := c.places[shard.Unit{Shard: i, Group: group}]; !ok || p.Rows != rows {
				return fmt.Errorf("token cache %s: row group %d of shard %d has %d rows, here it is %d; remove "+
					"the directory", c.Dir, group, i, p.Rows, rows)
			}
		}
	}
	return nil
}

// ErrDamaged is of a cache whose ids cannot be read, and says what to do.
var ErrDamaged = errors.New("tokenize the data again")

// Tokens reads what tokenizing the same row groups would give.
func (c *Cache) Tokens(ctx context.Context, units []shard.Unit, from int64) iter.Seq2[shard.Tokenized, error] {
	return func(yield func(shard.Tokenized, error) bool) {
		for i, u := range units {
			if err := ctx.Err(); err != nil {
				yield(shard.Tokenized{}, err)
				return
			}
			begin := int64(0)
			if i == 0 {
				begin = from
			}
			more, err := c.group(u, begin, yield)
			if err != nil {
				yield(shard.Tokenized{},
					fmt.Errorf("token cache %s: row group %d of shard %d: %w; %w",
						c.places[u].file, u.Group, u.Shard, err, ErrDamaged))
				return
			}
			if !more {
				return
			}
		}
	}
}

// group yields a row group's rows from one of its shard on.
func (c *Cache) group(u shard.Unit, from int64, yield func(shard.Tokenized, error) bool) (bool, error) {
	at := c.places[u]
	f, err := os.Open(at.file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if err := c.verify(u, f, at); err != nil {
		return false, err
	}
	width := int64(c.Info.Width)
	table := make([]byte, 4*at.Rows)
	counts := newMapped(f, at.offset+pad(at.Tokens*width), int64(len(table)))
	_, err = io.ReadFull(counts, table)
	counts.close()
	if err != nil {
		return false, err
	}
	ids := newMapped(f, at.offset, at.Tokens*width)
	defer ids.close()
	var raw []byte
	var buffer []uint32
	for i := range at.Rows {
		n := binary.LittleEndian.Uint32(table[4*i:])
		out := shard.Tokenized{Position: shard.Position{Shard: u.Shard, Row: at.first + i}, Rows: 1}
		if n&droppedRow != 0 {
			out.Dropped = shard.Reason(n &^ droppedRow)
		} else if out.Row < from {
			ids.skip(int64(n) * width)
		} else {
			raw = grown(raw, int(n)*int(width))
			if _, err := io.ReadFull(ids, raw); err != nil {
				return false, err
			}
			buffer = grown(buffer, int(n))
			if width == 2 {
				for k := range buffer {
					buffer[k] = uint32(binary.LittleEndian.Uint16(raw[2*k:]))
				}
			} else {
				for k := range buffer {
					buffer[k] = binary.LittleEndian.Uint32(raw[4*k:])
				}
			}
			out.IDs = buffer
		}
		if out.Row >= from && !yield(out, nil) {
			return false, nil
		}
	}
	return true, nil
}

// grown is a slice of n elements, whatever they hold, in b's memory if it fits.
func grown[T any](b []T, n int) []T {
	if cap(b) < n {
		return make([]T, n)
	}
	return b[:n]
}

// verify compares a row group with its checksum, once.
func (c *Cache) verify(u shard.Unit, f *os.File, at place) error {
	c.mu.Lock()
	known := c.verified[u]
	c.mu.Unlock()
	if known {
		return nil
	}
	if err := checkGroup(f, at.offset, at.GroupInfo, c.Info); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.verified[u] = true
	return nil
}

// checkGroup compares a row group's bytes with its checksum, its ids with the vocabulary, and
// its rows with its number of ids.
func checkGroup(f *os.File, offset int64, g GroupInfo, of Info) error {
	size := g.Size(of.Width)
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if g.Rows < 0 || g.Tokens < 0 || offset > info.Size() || size > info.Size()-offset {
		return fmt.Errorf("bytes %d to %d of a file of %d", offset, offset+size, info.Size())
	}
	sum := crc32.New(castagnoli)
	r := newMapped(f, offset, size)
	defer r.close()
	foreign, err := checkIDs(io.TeeReader(r, sum), g.Tokens, of)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(sum, r, size-4*g.Rows-g.Tokens*int64(of.Width)); err != nil {
		return err
	}
	total := int64(0)
	table := make([]byte, 4*g.Rows)
	if _, err := io.ReadFull(r, table); err != nil {
		return err
	}
	sum.Write(table)
	if got := sum.Sum32(); got != g.CRC {
		return fmt.Errorf("its checksum is %08x, its bytes give %08x", g.CRC, got)
	}
	if foreign != nil {
		return foreign
	}
	for i := range g.Rows {
		if n := binary.LittleEndian.Uint32(table[4*i:]); n&droppedRow == 0 {
			total += int64(n)
		}
	}
	if total != g.Tokens {
		return fmt.Errorf("%d ids of %d", total, g.Tokens)
	}
	return nil
}

// checkIDs reads ids and says which is the first beyond the vocabulary, if one is: its
// checksum was right when something wrote it.
func checkIDs(r io.Reader, n int64, of Info) (foreign, err error) {
	buffer := make([]byte, 64<<10)
	for at := int64(0); at < n; {
		some := buffer[:min(int64(len(buffer)), (n-at)*int64(of.Width))]
		if _, err := io.ReadFull(r, some); err != nil {
			return nil, err
		}
		for ; len(some) > 0; at++ {
			id := uint32(binary.LittleEndian.Uint16(some))
			if of.Width == 4 {
				id = binary.LittleEndian.Uint32(some)
			}
			if int64(id) >= int64(of.Vocab) && foreign == nil {
				foreign = fmt.Errorf("id %d at %d of %d is beyond the vocabulary of %d", id, at, n, of.Vocab)
			}
			some = some[of.Width:]
		}
	}
	return foreign, nil
}
