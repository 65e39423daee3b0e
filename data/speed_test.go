//go:build unix

package data

import (
	"fmt"
	"iter"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"steplm/data/datatest"
	"steplm/data/tokenizer"
)

// byteLevel32k is a byte-level BPE of 32,000 ids, trained on the real shards.
var byteLevel32k = sync.OnceValues(func() (*tokenizer.Tokenizer, error) {
	s, err := Open(realShards)
	if err != nil {
		return nil, err
	}
	return tokenizer.Train(func(yield func(string, error) bool) {
		for d, err := range s.Documents(Position{}) {
			if !yield(d.Text, err) {
				return
			}
		}
	}, tokenizer.TrainOptions{VocabSize: 32000})
})

var realShards string // set by the benchmarks that need them

// BenchmarkReadFilterTokenize compares reading, filtering and tokenizing together
// with what the Parquet reader alone (a) and the tokenizer alone (b) allow, which
// is 1/(1/a + 1/b) on one core: MB of text per second of processor time, best of
// the rounds, which other work on the machine disturbs least. With more cores the
// wall clock counts too.
func BenchmarkReadFilterTokenize(b *testing.B) {
	realShards = datatest.Path(b, "fineweb_edu/train")
	score := 1.0
	filter := Filter{MinScore: &score, Languages: []string{"en"}, MinChars: 100, Holdout: 0.001}
	for _, tt := range []struct {
		name string
		load func() (*tokenizer.Tokenizer, error)
	}{
		{"byte-level 32k", byteLevel32k},
		{"Llama 2 32k", func() (*tokenizer.Tokenizer, error) {
			return tokenizer.Load(datatest.Path(b, "tokenizers/llama2/tokenizer.model"))
		}},
	} {
		tok, err := tt.load()
		if err != nil {
			b.Fatal(err)
		}
		enc, err := newEncoder(tok)
		if err != nil {
			b.Fatal(err)
		}
		s, err := OpenWith(realShards, OpenOptions{Filter: filter})
		if err != nil {
			b.Fatal(err)
		}
		units := s.units()
		var texts []Document
		size := 0.0 // MB
		for d, err := range s.Documents(Position{}) {
			if err != nil {
				b.Fatal(err)
			}
			texts = append(texts, d)
			size += float64(len(d.Text)) / 1e6
		}
		for cores := 1; cores <= runtime.NumCPU(); cores *= 2 {
			b.Run(fmt.Sprintf("%s/cores=%d", tt.name, cores), func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
				var best [3]float64
				wall := 0.0
				measure := func(i int, work func()) {
					start, cpu := time.Now(), processorTime(b)
					work()
					best[i] = max(best[i], size/(processorTime(b)-cpu).Seconds())
					if i == 2 {
						wall = max(wall, size/time.Since(start).Seconds())
					}
				}
				var ids []uint32
				for b.Loop() {
					measure(0, func() {
						for range drain(b, s.read(b.Context(), units, 0)) {
						}
					})
					measure(1, func() {
						for _, d := range texts {
							if ids, err = enc.append(ids[:0], d); err != nil {
								b.Fatal(err)
							}
						}
					})
					measure(2, func() {
						for range drain(b, textTokens{s, enc, cores}.Tokens(b.Context(), units, 0)) {
						}
					})
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(best[0], "read-MB/cpu-s")
				b.ReportMetric(best[1], "tokenize-MB/cpu-s")
				b.ReportMetric(best[2], "together-MB/cpu-s")
				b.ReportMetric(best[2]*(1/best[0]+1/best[1]), "of-bound")
				b.ReportMetric(wall, "together-MB/s")
			})
		}
	}
}

// processorTime is what this process has used, user and system.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// drain is a sequence that ends the benchmark at an error.
func drain[T any](b *testing.B, seq iter.Seq2[T, error]) iter.Seq[T] {
	return func(yield func(T) bool) {
		for v, err := range seq {
			if err != nil {
				b.Fatal(err)
			}
			if !yield(v) {
				return
			}
		}
	}
}

// BenchmarkCache reads ids from a cache.
func BenchmarkCache(b *testing.B) {
	realShards = datatest.Path(b, "fineweb_edu/train")
	tok, err := tokenizer.Load(datatest.Path(b, "tokenizers/gpt2"))
	if err != nil {
		b.Fatal(err)
	}
	s, err := Open(realShards)
	if err != nil {
		b.Fatal(err)
	}
	c := tokenizeAll(b, s, tok, b.TempDir(), runtime.NumCPU())
	for b.Loop() {
		for range drain(b, c.Tokens(b.Context(), s.units(), 0)) {
		}
	}
	b.ReportMetric(float64(c.Info.Tokens)*float64(b.N)/1e6/b.Elapsed().Seconds(), "Mtokens/s")
}
