package data

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/parquet/compress"

	"steplm/data/cache"
	"steplm/data/datatest"
	"steplm/data/internal/permute"
	"steplm/data/tokenizer"
)

// bigShard writes documents of 5,000 bytes, and one much larger in the middle, as
// one Parquet file.
func bigShard(t testing.TB, path string, codec compress.Compression, rows, rowGroup, largest int) {
	t.Helper()
	var texts []string // few, but no two alike on a page
	for i := range 2000 {
		var b strings.Builder
		for b.Len() < 5000 {
			fmt.Fprintf(&b, "document %d says %x and ", i, permute.Mix(uint64(i)<<32|uint64(b.Len())))
		}
		texts = append(texts, b.String()[:5000])
	}
	all := make([]datatest.Row, rows)
	for i := range all {
		all[i] = datatest.Row{Text: texts[i%len(texts)]}
	}
	all[rows/2].Text = strings.Repeat("one very long document, ", largest/24)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	err = datatest.WriteRows(f, all, codec, rowGroup)
	if err = cmp.Or(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// The heap stays small while a shard with a large row group and a large document
// goes through the loader, with a token cache being made and with one.
func TestMemoryOfTheWholePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big.parquet")
	bigShard(t, path, compress.Codecs.Snappy, 3_000, 3_000, 4<<20) // 19 MB in one row group, 4 MiB of it one document
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	tok := sampling{hashed: hashed{name: "h"}, every: 1000}
	tok.start()
	cache := tokenizeAll(t, s, &tok, t.TempDir(), 1)
	tokenize := tok.peak
	tok.start()
	l, err := NewMixture([]Source{{Shards: s, Weight: 1}}, &tok,
		Options{BatchSize: 8, SeqLen: 512, BlockWindows: 1024, Shuffle: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for l.Stats().Epoch == 0 {
		next(t, l)
	}
	// An id takes 4 bytes, here one for each byte: the large document's text, its page and its ids
	// are 24 MiB, and a block of half a million ids is 2 MiB; all ids are 76 MB.
	const most = 48 << 20
	t.Logf("live at most: tokenizing %d MiB, training %d MiB; %d ids in the cache", tokenize>>20, tok.peak>>20,
		cache.Info.Tokens)
	if tokenize > most || tok.peak > most {
		t.Errorf("more than %d MiB live: tokenizing %d MiB, training %d MiB", most>>20, tokenize>>20, tok.peak>>20)
	}
}

// sampling looks at the live heap now and then, while texts are encoded.
type sampling struct {
	hashed
	every        int
	texts        int
	before, peak int64
}

// live is the heap that is in use, once nothing else allocates. What other goroutines make while the collector works
// counts as in use, and the batches of one block leave 20 MB of garbage: on a busy machine much of it. They come to
// rest, since all of them wait in the end for the text that is being encoded.
func live() int64 {
	for {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if after.TotalAlloc-before.TotalAlloc < 1<<20 {
			return int64(after.HeapAlloc)
		}
	}
}

func (s *sampling) start() { s.before, s.peak, s.texts = live(), 0, 0 }

func (s *sampling) Encode(text string) ([]uint32, error) {
	ids, err := s.hashed.Encode(text)
	if s.texts++; s.texts%s.every == 0 || len(text) > 1<<20 {
		s.peak = max(s.peak, live()-s.before)
	}
	return ids, err
}

// BenchmarkMemory takes a shard of 1 GB with row groups of 100,000 rows and a
// document of 50 MB through the token cache and through the loader, and reports the
// process's peak. It takes minutes and 2 GB of disk.
func BenchmarkMemory(b *testing.B) {
	if os.Getenv("STEPLM_SLOW") == "" {
		b.Skip("STEPLM_SLOW is not set: this takes minutes and 2 GB of disk")
	}
	tok := mustGPT2(b)
	path := filepath.Join(b.TempDir(), "big.parquet")
	bigShard(b, path, compress.Codecs.Uncompressed, 210_000, 100_000, 50<<20)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	debug.SetGCPercent(25) // as the command does
	peak := func(work func()) float64 {
		debug.FreeOSMemory()
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
			b.Skip("this system cannot reset the peak of a process's memory: ", err)
		}
		work()
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			b.Fatal(err)
		}
		_, line, _ := strings.Cut(string(status), "VmHWM:")
		kib := 0.0
		fmt.Sscan(line, &kib)
		return kib * 1024 / 1e6
	}
	for b.Loop() {
		var ids *cache.Cache
		tokenize := peak(func() { ids = tokenizeAll(b, s, tok, b.TempDir(), 2).Cache })
		epoch := func(c *cache.Cache) float64 {
			return peak(func() {
				l, err := NewMixture([]Source{{Shards: s, Weight: 1, Cache: c}}, tok,
					Options{BatchSize: 16, SeqLen: 1024, BlockWindows: 4096, Shuffle: true, Workers: 2})
				if err != nil {
					b.Fatal(err)
				}
				defer l.Close()
				for l.Stats().Epoch == 0 {
					next(b, l)
				}
			})
		}
		b.ReportMetric(tokenize, "tokenize-peak-MB")
		b.ReportMetric(epoch(nil), "texts-peak-MB")
		b.ReportMetric(epoch(ids), "cache-peak-MB")
		b.ReportMetric(float64(info.Size())/1e6, "shard-MB")
	}
}

func mustGPT2(b *testing.B) Tokenizer {
	tok, err := tokenizer.Load(datatest.Path(b, "tokenizers/gpt2"))
	if err != nil {
		b.Fatal(err)
	}
	return tok
}
