package logs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"steplm/stage/record"
)

// Run is what formats say of a run besides its events.
type Run struct {
	Dir    string                     // its folder, in which formats write
	Name   string                     // for people
	Config map[string]json.RawMessage // what was asked for
	Steps  int                        // of the whole run
	Batch  int                        // sequences of a micro-batch
	// SaveEvery and EvalEvery are steps; 0: not regularly.
	SaveEvery, EvalEvery int
	// Began is such that events lie at Began and the seconds of work before them: metrics keep no times of day.
	Began time.Time
}

// identity is a name of the run that no other has, of n hexadecimal digits, at most 64.
func (r Run) identity(n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d", r.Dir, r.Began.UnixNano()))
	return hex.EncodeToString(sum[:])[:n]
}

// Format is how another program keeps a run.
type Format struct {
	Name string
	// Begin replaces what the format had of a run by nothing.
	Begin func(Run) (Sink, error)
}

// Sink takes a run's points.
type Sink interface {
	// Point takes one, in order. What was taken survives the end of the process from Save on, and after the first
	// Save at once or, in formats that are written as a whole, from the next Save on.
	Point(Point) error
	// Save is called once all points of the metrics are taken, and with the run's checkpoints.
	Save() error
	// Close ends the writing, after a Save.
	Close() error
}

// Formats are those that there are.
var Formats = []Format{
	{"tensorboard", beginTensorBoard},
	{"trackio", beginTrackio},
	{"wandb", beginWandb},
	{"trainer-state", beginTrainerState},
}

// Names are those of the formats.
func Names() (names []string) {
	for _, f := range Formats {
		names = append(names, f.Name)
	}
	return names
}

// Point is what an event says in numbers and texts.
type Point struct {
	Event   record.Event
	Step    int
	Time    time.Time
	Seconds float64 // of work since the run began
	FLOPs   float64 // of steps since the run began
	Values  []Value // of one event no name twice
	Texts   []Text  // likewise; formats that have no place for texts leave them out
}

// Text is what a model said, by a name such as samples/1.
type Text struct{ Name, Text string }

// Value is a number by its name, such as train/loss.
type Value struct {
	Name  string
	Value float64
}

// counter turns events, taken in order, into points.
type counter struct {
	began          time.Time
	at             record.At // of the last event
	trained        int       // the last step
	tokens         int64
	seconds, flops float64
}

// isBefore reports whether an event is of what was counted already: the run went back with others, and its metrics were
// cut.
func (c *counter) isBefore(e record.Event) bool {
	at := e.Moment()
	_, step := e.(record.Metrics)
	return at.Step < c.at.Step || at.Stage < c.at.Stage || step && at.Step <= c.trained
}

func (c *counter) point(e record.Event) Point {
	if m, ok := e.(record.Metrics); ok {
		if tokens := m.Tokens - c.tokens; m.TokensPerSecond > 0 && tokens > 0 {
			took := float64(tokens) / m.TokensPerSecond
			c.seconds += took
			c.flops += took * m.FLOPsPerSecond
		}
		c.tokens, c.trained = m.Tokens, m.Step
	}
	c.seconds += besides(e)
	c.at = e.Moment()
	return Point{Event: e, Step: e.Moment().Step, Seconds: c.seconds, FLOPs: c.flops, Values: values(e),
		Texts: texts(e), Time: c.began.Add(time.Duration(c.seconds * float64(time.Second)))}
}

// besides are the seconds that an event took which is no step.
func besides(e record.Event) float64 {
	switch e := e.(type) {
	case record.Checkpoint:
		return e.Seconds
	case record.Growth:
		return e.Seconds
	case record.Transition:
		return e.Seconds
	case record.Evaluation:
		return e.Seconds
	case record.Samples:
		return e.Seconds
	}
	return 0
}

// values are an event's numbers. What is no curve has none.
func values(e record.Event) []Value {
	switch e := e.(type) {
	case record.Metrics:
		return ofStep(e)
	case record.Growth:
		return ofTransition(e.Transition)
	case record.Transition:
		return ofTransition(e)
	case record.Evaluation:
		return ofEvaluation(e)
	}
	return nil
}

// texts are what a model said.
func texts(e record.Event) (list []Text) {
	if e, ok := e.(record.Samples); ok {
		for i, s := range e.Samples {
			list = append(list, Text{fmt.Sprintf("samples/%d", i+1), s.Prompt + s.Text})
		}
	}
	return list
}

func ofStep(m record.Metrics) []Value {
	list := []Value{
		{"train/loss", m.Loss}, {"train/learning_rate", m.LR}, {"train/grad_norm", m.GradNorm},
		{"train/tokens", float64(m.Tokens)}, {"train/stage", float64(m.Stage)},
		{"train/tokens_per_second", m.TokensPerSecond}, {"train/flops_per_second", m.FLOPsPerSecond},
		{"memory/peak_bytes", float64(m.PeakBytes)}, {"memory/process_peak_bytes", float64(m.ProcessPeak)},
	}
	n := len(list)
	for class, bytes := range m.Bytes {
		list = append(list, Value{"memory/" + class + "_bytes", float64(bytes)})
	}
	slices.SortFunc(list[n:], byName)
	return list
}

func ofTransition(t record.Transition) []Value {
	return []Value{{"model/layers", float64(t.To)}, {"model/trainable_parameters", float64(t.Trainable)},
		{"model/frozen_parameters", float64(t.Frozen)}}
}

// ofEvaluation are the numbers of a result's plain form, named after the set. Those right before and after a growth
// lie at one step, and so have names of their own.
func ofEvaluation(e record.Evaluation) (list []Value) {
	top := "eval"
	if e.When != "every" && e.When != "end" && e.When != "" {
		top += "_" + strings.ReplaceAll(e.When, " ", "_")
	}
	var result struct {
		Perplexity, Tokens *float64
		Detail             map[string]any
	}
	if e.Result.Into(&result) != nil {
		return nil // A result of a later version: its line is in metrics.jsonl.
	}
	for name, value := range result.Detail {
		if number, ok := value.(float64); ok {
			list = append(list, Value{top + "/" + e.Set + "/" + name, number})
		}
	}
	for name, value := range map[string]*float64{"perplexity": result.Perplexity, "tokens": result.Tokens} {
		at := Value{Name: top + "/" + e.Set + "/" + name}
		if _, there := result.Detail[name]; value != nil && !there {
			at.Value = *value
			list = append(list, at)
		}
	}
	slices.SortFunc(list, byName)
	return list
}

func byName(a, b Value) int { return strings.Compare(a.Name, b.Name) }
