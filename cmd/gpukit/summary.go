package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"steplm/internal/disk"
)

// What became of a stage.
const (
	waiting = "waiting" // not begun: the kit was cut off before
	running = "running" // begun: the kit was cut off in it
	passed  = "passed"
	failed  = "failed"
	cutOff  = "cut off" // its time was over; what it found counts
	skipped = "skipped"
)

// result is what a stage found, as summary.json has it.
type result struct {
	Name    string         `json:"name"`
	Title   string         `json:"title"`
	Seconds float64        `json:"seconds"`
	Status  string         `json:"status"`
	Note    string         `json:"note,omitempty"`
	Figures map[string]any `json:"figures"` // numbers, texts and lists of them, by name
	// Failures are what did not hold, one line each.
	Failures []string `json:"failures,omitempty"`
	order    []string // of Figures, as they came
	table    []string // Markdown lines of the stage's own table
	write    func() error
}

// set keeps a figure and writes the summary, so that it is not lost.
func (r *result) set(name string, value any) {
	if f, ok := value.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) { // JSON has no such numbers.
		value = fmt.Sprint(f)
	}
	if _, ok := r.Figures[name]; !ok {
		r.order = append(r.order, name)
	}
	r.Figures[name] = value
	r.save()
}

// fail notes what did not hold.
func (r *result) fail(format string, args ...any) {
	r.Failures = append(r.Failures, fmt.Sprintf(format, args...))
	r.save()
}

// note adds a sentence.
func (r *result) note(format string, args ...any) {
	if r.Note != "" {
		r.Note += "; "
	}
	r.Note += fmt.Sprintf(format, args...)
	r.save()
}

// save writes the summary; the end of the stage reports an error.
func (r *result) save() {
	if r.write != nil {
		_ = r.write()
	}
}

// number is a figure that is one, else 0.
func (r *result) number(name string) float64 {
	f, _ := r.Figures[name].(float64)
	return f
}

// summary is all that the kit found.
type summary struct {
	Device string    `json:"device"`
	Driver string    `json:"driver"`
	Time   time.Time `json:"time"`
	Goals  []goal    `json:"goals"`
	Stages []*result `json:"stages"`
	kind   string    // of the device
	out    string    // folder
}

func newSummary(out string, now time.Time) summary {
	return summary{Time: now.UTC().Truncate(time.Second), Goals: []goal{}, Stages: []*result{}, out: out}
}

// add makes room for a stage.
func (s *summary) add(of stage) {
	s.Stages = append(s.Stages, &result{Name: of.name, Title: of.title, Status: waiting, Figures: map[string]any{},
		write: s.write})
}

// of is the figure of a stage, 0 where there is none.
func (s *summary) of(stage, figure string) float64 {
	for _, r := range s.Stages {
		if r.Name == stage {
			return r.number(figure)
		}
	}
	return 0
}

// goal is a figure against what it should be.
type goal struct {
	What string  `json:"what"`
	Got  float64 `json:"got"`
	Want float64 `json:"want"`
	Most bool    `json:"at_most"` // else at least
	Met  bool    `json:"met"`
}

// lossesDiffer is how far losses may be from lavapipe's through the first step after growth, relative to them. Later
// each step multiplies what an early rounding did: on an H100 f32's 2e-6 at the 28th step was 1.6e-3 at the 58th.
var lossesDiffer = map[string]float64{"f32": 1e-4, "bf16": 5e-3}

// goals compares what is known so far.
func (s *summary) goals() []goal {
	ratio := func(a, b float64) float64 {
		if b == 0 {
			return 0
		}
		return a / b
	}
	peak := s.of("rates", "peak_gflops")
	if peak == 0 {
		peak = s.of("torch", "peak_gflops")
	}
	list := []goal{}
	add := func(what string, got, want float64, most, known bool) {
		if known {
			list = append(list, goal{what, got, want, most, got >= want && !most || got <= want && most})
		}
	}
	for _, r := range s.Stages {
		if r.Name == "tests" && r.number("tests_run") > 0 {
			add(fmt.Sprintf("device tests that fail, of %.0f that ran", r.number("tests_run")),
				float64(len(r.Failures)), 0, true, true)
		}
	}
	product, cublas := s.of("rates", "matmul_f32_nt_gflops"), s.of("torch", "matmul_fp32_gflops")
	add("product in f32, of the card's fp32 peak", ratio(product, peak), 0.5, false, product > 0 && peak > 0)
	add("product in f32, of PyTorch's (cuBLAS, TF32 off)", ratio(product, cublas), 0.6, false, product > 0 &&
		cublas > 0)
	for _, size := range []string{"130m", "368m"} {
		ours, theirs := s.of("steps", size+"_f32_vanilla_tokens_per_second"), s.of("torch", size+
			"_fp32_eager_tokens_per_second")
		add(size+" step in f32, of PyTorch fp32 eager", ratio(ours, theirs), 0.8, false, ours > 0 && theirs > 0)
	}
	for _, precision := range slices.Sorted(maps.Keys(lossesDiffer)) {
		if r := s.stage("steprun"); r != nil && r.Figures[precision+"_steps_compared"] != nil {
			add("STEP's losses in "+precision+" until it grew, largest relative difference from lavapipe's",
				r.number(precision+"_largest_difference_until_growth"), lossesDiffer[precision], true, true)
		}
	}
	return list
}

// strict is an error unless all stages passed, or had nothing to do, and all goals are met.
func (s *summary) strict() error {
	var missed []string
	for _, r := range s.Stages {
		if r.Status != passed && r.Status != skipped {
			missed = append(missed, fmt.Sprintf("stage %s: %s", r.Name, r.Status))
		}
	}
	for _, g := range s.goals() {
		if !g.Met {
			missed = append(missed, fmt.Sprintf("%s: %s, %s", g.What, figure(g.Got), g.asked()))
		}
	}
	if len(missed) > 0 {
		return errors.New(strings.Join(missed, "; "))
	}
	return nil
}

// stage is a stage's result; nil: it is not among those of this run.
func (s *summary) stage(name string) *result {
	for _, r := range s.Stages {
		if r.Name == name {
			return r
		}
	}
	return nil
}

func (s *summary) goalLines() string {
	var b strings.Builder
	for _, g := range s.goals() {
		fmt.Fprintf(&b, "%-70s %10s  %s\n", g.What, figure(g.Got), g.asked())
	}
	return b.String()
}

func (g goal) asked() string {
	sign, verdict := "at least", "missed"
	if g.Most {
		sign = "at most"
	}
	if g.Met {
		verdict = "met"
	}
	return fmt.Sprintf("%s %s: %s", sign, figure(g.Want), verdict)
}

// write writes summary.json and summary.md, each whole or not at all.
func (s *summary) write() error {
	s.Goals = s.goals()
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("summary.json: %w", err)
	}
	for name, content := range map[string]string{"summary.json": string(b) + "\n", "summary.md": s.markdown()} {
		path := filepath.Join(s.out, name)
		if err := os.WriteFile(path+".part", []byte(content), 0o644); err != nil {
			return fmt.Errorf("write the summary: %w", err)
		}
		if err := disk.Rename(path+".part", path); err != nil {
			return fmt.Errorf("write the summary: %w", err)
		}
	}
	return nil
}

// markdown is the page for people.
func (s *summary) markdown() string {
	var b strings.Builder
	name := s.Device
	if name == "" {
		name = "a device that is not known yet"
	}
	fmt.Fprintf(&b, "# steplm on %s\n\ndriver %s; %s\n\n", name, orUnknown(s.Driver),
		s.Time.Format("2006-01-02 15:04 UTC"))
	if len(s.Goals) > 0 {
		b.WriteString("| goal | got | asked |\n|---|---|---|\n")
		for _, g := range s.Goals {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", g.What, figure(g.Got), g.asked())
		}
		b.WriteString("\n")
	}
	b.WriteString("| stage | | seconds | |\n|---|---|---|---|\n")
	for _, r := range s.Stages {
		fmt.Fprintf(&b, "| %s | %s | %.0f | %s |\n", r.Title, r.Status, r.Seconds, cell(r.Note))
	}
	for _, r := range s.Stages {
		if len(r.Figures) == 0 && len(r.Failures) == 0 && len(r.table) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n", r.Title)
		if len(r.table) > 0 {
			b.WriteString(strings.Join(r.table, "\n") + "\n\n")
		}
		if len(r.order) > 0 {
			b.WriteString("| figure | |\n|---|---|\n")
		}
		for _, name := range r.order {
			fmt.Fprintf(&b, "| %s | %s |\n", strings.ReplaceAll(name, "_", " "), cell(figure(r.Figures[name])))
		}
		if len(r.Failures) > 0 {
			b.WriteString("\nWhat did not hold:\n\n")
		}
		for _, line := range r.Failures {
			fmt.Fprintf(&b, "- %s\n", cell(line))
		}
	}
	return b.String()
}

// figure prints a value for people.
func figure(value any) string {
	switch x := value.(type) {
	case float64:
		switch a := math.Abs(x); {
		case x == math.Trunc(x) && a < 1e7:
			return strconv.FormatFloat(x, 'f', 0, 64)
		case a >= 100:
			return strconv.FormatFloat(x, 'f', 0, 64)
		}
		return strconv.FormatFloat(x, 'g', 3, 64)
	case []float64:
		return fmt.Sprintf("%d values, in summary.json", len(x))
	case []string:
		return strings.Join(x, ", ")
	case map[string]float64:
		names := make([]string, 0, len(x))
		for name := range x {
			names = append(names, name)
		}
		sort.Slice(names, func(i, j int) bool { return x[names[i]] > x[names[j]] })
		for i, name := range names {
			names[i] = name + " " + figure(x[name])
		}
		return strings.Join(names, ", ")
	}
	return fmt.Sprint(value)
}

// cell is text as a cell of a Markdown table can hold it.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ").Replace(text)
}

func orUnknown(text string) string {
	if text == "" {
		return "not known"
	}
	return text
}
