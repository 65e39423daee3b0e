package text_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"steplm/data"
)

// writeLong writes lines of which the second has so many bytes, with an escape in it.
func writeLong(t *testing.T, path, before, after string, size int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	w.WriteString(before)
	piece := strings.Repeat("one long line ", 1<<12)
	for n := len(before) + len(after); n+len(piece) <= size; n += len(piece) {
		w.WriteString(piece)
	}
	w.WriteString(after)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// peakOf is the most bytes that the process's heap took from the system beyond what it had,
// while work was done.
func peakOf(work func()) int64 {
	debug.FreeOSMemory()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	heap := func() int64 {
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64() + sample[1].Value.Uint64() + sample[2].Value.Uint64())
	}
	before, peak := heap(), int64(0)
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			peak = max(peak, heap())
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	work()
	close(stop)
	watching.Wait()
	return peak - before
}

// A long line takes the line and its text, and a text file its text, not several times that.
func TestLongLinesTakeTwiceTheirSize(t *testing.T) {
	const size = 64 << 20
	for _, tt := range []struct {
		name, before, after string
		times               float64
	}{
		{"a.jsonl", "{\"text\":\"first\"}\n{\"text\":\"\\n", "\"}\n{\"text\":\"last\"}\n", 2.2},
		{"b.jsonl", "{\"text\":\"", "\",\"score\":NaN}\n", 2.2},
		{"c.txt", "", "end", 1.2},
	} {
		path := filepath.Join(t.TempDir(), tt.name)
		writeLong(t, path, tt.before, tt.after, size)
		texts := 0
		peak := peakOf(func() {
			s, err := data.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			for d, err := range s.Documents(data.Position{}) {
				if err != nil {
					t.Fatal(err)
				}
				if texts++; len(d.Text) > size*9/10 {
					time.Sleep(5 * time.Millisecond) // the watcher sees it
				}
			}
		})
		t.Logf("%s: %.2f times the line", tt.name, float64(peak)/size)
		if texts == 0 || float64(peak) > tt.times*size {
			t.Errorf("%s: %d texts, %d MiB for a line of %d MiB", tt.name, texts, peak>>20, size>>20)
		}
	}
}

// A line beyond the bound is an error with both numbers, and with more allowed a row.
func TestLongestLine(t *testing.T) {
	for _, name := range []string{"a.jsonl", "a.txt"} {
		path := filepath.Join(t.TempDir(), name)
		content := fmt.Appendf(nil, "{\"text\":\"%s\"}\n", strings.Repeat("x", 5000))
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := data.OpenWith(path, data.OpenOptions{MaxLine: 5011}); err == nil ||
			!strings.Contains(err.Error(), "5011 bytes that are allowed") {
			t.Errorf("%s: error %v", name, err)
		}
		s, err := data.OpenWith(path, data.OpenOptions{MaxLine: 5012})
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range s.Documents(data.Position{}) {
			if err != nil {
				t.Error(err)
			}
		}
	}
}
