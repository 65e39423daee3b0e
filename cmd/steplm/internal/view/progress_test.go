package view

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// progressAt is a job that prints plain lines, with a clock of its own.
func progressAt(t *testing.T, w io.Writer, label string, total int64, unit string, every time.Duration) (*Progress,
	*time.Time) {
	t.Helper()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &Progress{out: w, label: label, unit: unit, total: total, every: every, columns: func() int { return 80 },
		clock: func() time.Time { return now }}
	p.show()
	t.Cleanup(p.Done)
	return p, &now
}

func TestProgressPrintsPlainLines(t *testing.T) {
	var b bytes.Buffer
	p, now := progressAt(t, &b, "train", 400, "steps", 0)
	close(p.end) // Nothing is printed but what is set.
	p.Describe("loss 3.2")
	p.Set(100)
	*now = now.Add(40 * time.Second)
	p.Set(300)
	*now = now.Add(20 * time.Second)
	p.Set(500)
	p.end = make(chan struct{})
	p.Done()
	want := `train: 100/400 steps (25 %), 0s so far, loss 3.2
train: 300/400 steps (75 %), 20s left, loss 3.2
train: 400/400 steps (100 %), in 1m00s, loss 3.2
train: 400/400 steps (100 %), in 1m00s, loss 3.2
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What a resumed job did before is not part of its speed, and what slowed down counts soon.
func TestProgressTimeLeft(t *testing.T) {
	p, now := progressAt(t, &bytes.Buffer{}, "train", 1000, "steps", time.Hour)
	p.Set(900)
	if line := p.line(*now); !strings.Contains(line, "0s so far") {
		t.Errorf("nothing is known yet: %q", line)
	}
	*now = now.Add(10 * time.Second)
	p.Set(910)
	if line := p.line(*now); !strings.Contains(line, "1m30s left") {
		t.Errorf("10 steps in 10 s, 90 to go: %q", line)
	}
	if line := p.line(now.Add(5 * time.Second)); !strings.Contains(line, "1m25s left") {
		t.Errorf("5 s later: %q", line)
	}
	for n := int64(911); n <= 920; n++ {
		*now = now.Add(20 * time.Second)
		p.Set(n)
	}
	if left, ok := p.left(*now); !ok || left < 25*time.Minute || left > 27*time.Minute {
		t.Errorf("80 steps of 20 s: %v left", left)
	}
	*now = now.Add(20 * time.Second)
	p.Set(821) // A hundred are to be done again.
	*now = now.Add(20 * time.Second)
	p.Set(822)
	if left, ok := p.left(*now); !ok || left < 55*time.Minute || left > 65*time.Minute {
		t.Errorf("178 steps of 20 s: %v left", left)
	}
}

func TestProgressIsQuiet(t *testing.T) {
	var b bytes.Buffer
	p, _ := progressAt(t, &b, "short", 10, "steps", time.Hour)
	p.Set(10)
	p.Done()
	if b.Len() > 0 {
		t.Errorf("a short job printed %q", b.String())
	}
	none := NewProgress(ProgressOutput(true), "json", 10, "")
	none.Describe("note")
	none.Set(3)
	none.Done()
}

// locked is a writer that a test may read meanwhile.
type locked struct {
	sync.Mutex
	all bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.all.Write(b)
}

func (l *locked) text() string {
	l.Lock()
	defer l.Unlock()
	return l.all.String()
}

// A job of which nothing is heard says that it goes on, on a log and on a terminal.
func TestProgressIsNeverSilent(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		b := &locked{}
		p := &Progress{out: b, label: "prepare", every: 20 * time.Millisecond, clock: time.Now, terminal: terminal,
			columns: func() int { return 40 }}
		p.show()
		for i := 0; strings.Count(b.text(), "prepare") < 2; i++ {
			if i == 200 {
				t.Fatalf("terminal %v: after 4 s there is %q", terminal, b.text())
			}
			time.Sleep(20 * time.Millisecond)
		}
		p.Done()
		before := b.text()
		time.Sleep(3 * redrawEvery / 2)
		if after := b.text(); after != before {
			t.Errorf("terminal %v: after its end it still said %q", terminal, after[len(before):])
		}
	}
}

func TestProgressWithoutTotalOrUnit(t *testing.T) {
	p, now := progressAt(t, &bytes.Buffer{}, "read", 0, "documents", time.Hour)
	p.Set(7)
	if line := p.line(*now); line != "read: 7 documents, 0s so far" {
		t.Errorf("got %q", line)
	}
	p, now = progressAt(t, &bytes.Buffer{}, "set", 1000, "", time.Hour)
	p.Set(0)
	*now = now.Add(time.Minute)
	p.Set(500)
	if line := p.line(*now); line != "set: 50 %, 1m00s left" {
		t.Errorf("got %q", line)
	}
}

// The line keeps to the terminal, and says what matters at 40 columns too.
func TestProgressFitsTheTerminal(t *testing.T) {
	p, now := progressAt(t, &bytes.Buffer{}, "train", 400, "steps", time.Hour)
	p.Set(0)
	*now = now.Add(time.Minute)
	p.Set(120)
	p.Say(Item{"stage 1/2", "1/2"}, Same("loss 3.214"), Item{"12.3k tokens/s", "12.3k/s"}, Item{"94.6 MiB", ""})
	for columns, want := range map[int]string{
		119: "train  [====            ]  120/400 steps  2m20s left  stage 1/2  loss 3.214  12.3k tokens/s  94.6 MiB",
		79:  "train  120/400 steps  2m20s left  stage 1/2  loss 3.214  12.3k tokens/s",
		39:  "train 30% 2m20s 1/2 loss 3.214 12.3k/s",
		10:  "train 30% ",
		0:   "",
	} {
		if got := p.fit(*now, columns); got != want || utf8.RuneCountInString(got) > columns {
			t.Errorf("%d columns: %q, want %q", columns, got, want)
		}
	}
	p.Say(Same("é%s", strings.Repeat("ö", 90)))
	if got := p.fit(*now, 39); utf8.RuneCountInString(got) != 39 || !utf8.ValidString(got) {
		t.Errorf("got %q", got)
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range [][2]string{
		{Duration(12 * time.Second), "12s"}, {Duration(80 * time.Second), "1m20s"}, {Duration(-1), "0s"},
		{Duration(3*time.Hour + 5*time.Minute + 59*time.Second), "3h05m"}, {Duration(52 * time.Hour), "2d04h"},
		{Rate(0.5234), "0.523"}, {Rate(834.4), "834"}, {Rate(12345), "12.3k"}, {Rate(4.5612e6), "4.56M"},
		{Plural(1, "shard", "shards"), "1 shard"}, {Steps(1), "1 step"}, {Steps(1200), "1,200 steps"},
		{Plural(0, "shard", "shards"), "0 shards"},
		{Plural(12000, "shard", "shards"), "12,000 shards"},
	} {
		if c[0] != c[1] {
			t.Errorf("got %q, want %q", c[0], c[1])
		}
	}
}
