package clitest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// MetricsLine is a line of metrics.jsonl with its numbers as they are written:
// Losses are compared with all their digits.
type MetricsLine map[string]json.RawMessage

func (l MetricsLine) Text(key string) string { return strings.Trim(string(l[key]), `"`) }

func (l MetricsLine) Number(t *testing.T, key string) (n float64) {
	t.Helper()
	if err := json.Unmarshal(l[key], &n); err != nil {
		t.Fatalf("%s in %s: %v", key, l, err)
	}
	return n
}

func (l MetricsLine) String() string {
	b, _ := json.Marshal(map[string]json.RawMessage(l))
	return string(b)
}

// Step tells a step's line from an event's.
func (l MetricsLine) Step() bool { return l["event"] == nil }

func ParseMetrics(t *testing.T, text []byte) (list []MetricsLine) {
	t.Helper()
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		var l MetricsLine
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			t.Fatalf("line %d, %q: %v", len(list)+1, s.Text(), err)
		}
		list = append(list, l)
	}
	return list
}

func ReadMetrics(t *testing.T, run string) []MetricsLine {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(run, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return ParseMetrics(t, text)
}

// Losses are what a run that is repeated must repeat bit for bit.
func Losses(list []MetricsLine) (out []string) {
	for _, l := range list {
		if l.Step() {
			out = append(out, fmt.Sprintf("step %s stage %s loss %s lr %s norm %s tokens %s", l["step"], l["stage"],
				l["loss"], l["lr"], l["grad_norm"], l["tokens"]))
		}
	}
	return out
}

// Story is the order in which things happened, steps and events.
func Story(list []MetricsLine) (out []string) {
	for _, l := range list {
		switch l.Text("event") {
		case "":
			out = append(out, "step "+l.Text("step"))
		case "eval":
			out = append(out, fmt.Sprintf("eval %s %s", l.Text("set"), l.Text("when")))
		case "checkpoint", "resume", "end":
			out = append(out, l.Text("event")+" "+l.Text("checkpoint"))
		default:
			out = append(out, l.Text("event"))
		}
	}
	return out
}

// Other programs read these keys: a change here breaks them.
var frozenKeys = map[string]string{
	"": "bytes flops_per_second grad_norm loss lr peak_bytes process_peak_bytes stage step tokens " +
		"tokens_per_second",
	"growth": "event from_layers frozen_parameters new_blocks peak_bytes process_peak_bytes seconds stage step " +
		"to_layers trainable_parameters",
	"eval":       "event peak_bytes process_peak_bytes result seconds set stage step when",
	"checkpoint": "checkpoint event peak_bytes process_peak_bytes seconds stage step",
	"resume":     "checkpoint device event peak_bytes process_peak_bytes stage step",
	"end":        "checkpoint event peak_bytes process_peak_bytes stage step",
}

const (
	frozenResult        = "detail name perplexity tokens unit"
	frozenTokenDetail   = "context documents nll perplexity stride tokens unit"
	frozenWordDetail    = "bits_per_byte byte_perplexity bytes context nll pages tokens unit word_perplexity words"
	frozenBytes         = "activations adapters gradients optimizer scratch weights"
	frozenNumbersOfStep = "flops_per_second grad_norm loss lr peak_bytes process_peak_bytes stage step tokens " +
		"tokens_per_second"
)

func keysOf[V any](m map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), " ")
}

// CheckSchema compares every line with the frozen keys.
func CheckSchema(t *testing.T, list []MetricsLine) {
	t.Helper()
	seen := map[string]bool{}
	for i, l := range list {
		event := l.Text("event")
		seen[event] = true
		want, known := frozenKeys[event]
		if got := keysOf(l); !known || got != want {
			t.Errorf("line %d, event %q, has the keys\n%s, frozen are\n%s", i+1, event, got, want)
		}
		if l.Step() {
			var bytes map[string]int64
			if err := json.Unmarshal(l["bytes"], &bytes); err != nil || keysOf(bytes) != frozenBytes {
				t.Errorf("line %d: bytes %s, want whole numbers for %s (%v)", i+1, l["bytes"], frozenBytes, err)
			}
			for _, key := range strings.Fields(frozenNumbersOfStep) {
				l.Number(t, key)
			}
		}
		if event == "eval" {
			var r struct {
				MetricsLine
				Detail MetricsLine `json:"detail"`
			}
			for _, to := range []any{&r, &r.MetricsLine} {
				if err := json.Unmarshal(l["result"], to); err != nil {
					t.Fatal(err)
				}
			}
			detail := frozenTokenDetail
			if l.Text("set") == "wikitext" {
				detail = frozenWordDetail
			}
			if keysOf(r.MetricsLine) != frozenResult || keysOf(r.Detail) != detail {
				t.Errorf("line %d: result %s, want the keys %s and in detail %s", i+1, l["result"], frozenResult,
					detail)
			}
		}
	}
	for _, event := range []string{"", "growth", "eval", "checkpoint", "end"} {
		if !seen[event] {
			t.Errorf("no line with event %q", event)
		}
	}
}
