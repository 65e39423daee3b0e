package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"steplm/stage"
	"steplm/stage/record"
)

func TestProgressPrintsPlainLines(t *testing.T) {
	var b bytes.Buffer
	p := newProgressEvery(&b, "train", 400, "steps", 0)
	p.Describe("loss 3.2")
	p.Set(100)
	p.Clear()
	time.Sleep(2 * time.Millisecond)
	p.Set(300)
	p.Set(500)
	p.Done()
	want := []string{
		`^train: 100/400 steps \(25 %\), loss 3\.2$`,
		`^train: 300/400 steps \(75 %\), 0s left, loss 3\.2$`,
		`^train: 400/400 steps \(100 %\), in 0s, loss 3\.2$`,
		`^train: 400/400 steps \(100 %\), in 0s, loss 3\.2$`,
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %q", lines)
	}
	for i, line := range lines {
		if !regexp.MustCompile(want[i]).MatchString(line) {
			t.Errorf("line %d: %q, want %s", i, line, want[i])
		}
	}
}

// What a resumed job did before is not part of its speed.
func TestProgressTimeLeftAfterResume(t *testing.T) {
	p := newProgressEvery(&bytes.Buffer{}, "train", 1000, "steps", time.Hour)
	p.Set(900)
	p.Set(910)
	if line := p.line(p.start.Add(10 * time.Second)); !strings.Contains(line, "1m30s left") {
		t.Errorf("10 steps in 10 s, 90 to go: %q", line)
	}
}

func TestProgressIsQuiet(t *testing.T) {
	var b bytes.Buffer
	p := newProgressEvery(&b, "short", 10, "steps", time.Hour)
	p.Set(10)
	p.Done()
	if b.Len() > 0 {
		t.Errorf("a short job printed %q", b.String())
	}
	none := newProgress(progressOutput(true), "json", 10, "")
	none.Describe("note")
	none.Set(3)
	none.Clear()
	none.Done()
}

func TestProgressWithoutTotalOrUnit(t *testing.T) {
	p := newProgressEvery(&bytes.Buffer{}, "read", 0, "documents", time.Hour)
	p.Set(7)
	if line := p.line(p.start); line != "read: 7 documents" {
		t.Errorf("got %q", line)
	}
	p = newProgressEvery(&bytes.Buffer{}, "set", 1000, "", time.Hour)
	p.Set(0)
	p.Set(500)
	if line := p.line(p.start.Add(time.Minute)); line != "set: 50 %, 1m0s left" {
		t.Errorf("got %q", line)
	}
}

func TestProgressFitsTheTerminal(t *testing.T) {
	p := &progress{room: 8}
	if got := p.fit("12345\u00e9789"); got != "12345\u00e978" {
		t.Errorf("got %q", got)
	}
	p.room = 0
	if got := p.fit("12345678901"); got != "12345678901" {
		t.Errorf("got %q", got)
	}
}

// unprinted is an event that a view prints nothing of.
type unprinted struct{ record.At }

func (unprinted) Kind() string { return "none that is printed" }

// Events that come more often than plain lines do not begin the wait for the
// next line anew.
func TestViewKeepsTheBarAcrossEvents(t *testing.T) {
	v := newView(false, "runs/x", stage.Recipe{Stages: []stage.Stage{{Steps: 3}}}, &result{})
	metrics := record.Metrics{Step: 1, Stage: 1, TokensPerSecond: 1}
	v.step(metrics)
	bar := v.bar
	v.event(unprinted{})
	if metrics.Step = 2; bar == nil || v.bar != bar {
		t.Error("the training bar was begun anew after an event")
	}
	v.step(metrics)
	if metrics.Step = 3; v.bar.done != 2 {
		t.Errorf("the bar is at step %d, want 2", v.bar.done)
	}
	if v.step(metrics); v.bar != nil {
		t.Error("the training bar outlives the last step")
	}
}
