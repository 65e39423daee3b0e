package train

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/measure"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/model"
	"steplm/stage"
	"steplm/stage/eval"
	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/session"
)

// describeRun prints a run before it starts, with every choice that the paper
// leaves open.
func describeRun(w io.Writer, s *session.Session) {
	r, dev := s.Recipe, s.Device
	c := r.Model
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "%-10s %s\n", what, fmt.Sprintf(format, args...))
	}
	tied := "untied head"
	if c.Tied {
		tied = "tied head"
	}
	line("model", "%s parameters: %d layers, hidden %d, FFN %d, %d heads (%d key-value), vocabulary %d, %s",
		view.Count(c.TotalParams()), c.Layers, c.Hidden, c.FFN, c.Heads, c.KVHeads, c.Vocab, tied)
	for _, source := range describeSources(s) {
		line("data", "%s", source)
	}
	line("tokenizer", "%d ids", s.Tokenizer.VocabSize())
	line("run", "%s, %d steps of %d tokens (%d x %d, %d micro-batches), seed %d", r.Method, r.Steps(),
		r.TokensPerStep(), r.Batch.Batch, r.Batch.SeqLen, r.GradAccum, r.Seed)
	line("memory", "%s", measure.DescribeStorage(r.Storage, r.Batch, r.Optimizer.TrainableBytes(r.Storage)))
	line("device", "%s", dev.Name())
	layouts, err := r.Layouts()
	if err != nil {
		return // validated before
	}
	for i, x := range r.Stages {
		trains, frozen := layouts[i].Count()
		bytes := gpu.Plan(dev.Own(), r.Specs(layouts[i])).Total()
		line(fmt.Sprintf("stage %d", i+1),
			"%d layers, %d steps: %s trainable, %s frozen, %s on the device; %s, warm-up %d, weight decay %g",
			x.Layers, x.Steps, view.Count(trains), view.Count(frozen), gpu.Bytes(bytes), describeCourse(
				x), x.Entry.Warmup(), x.Decay)
		if verbs := describeVerbs(r, x); i > 0 && len(verbs) > 0 {
			line("", "begins with %s", strings.Join(verbs, ", "))
		}
	}
	if len(r.Stages) > 1 {
		line("", "after stage 1 also trained: embedding %v, head %v, norms of old layers %v; new state, new warm-up "+
			"after growth", r.TrainEmbedding, r.TrainHead, r.TrainNorms)
	}
	line("compute", "%.3g floating point operations for the whole run", runFLOPs(r, layouts))
	line("optimizer", "%s, gradient norm clipped to %g; attention crosses documents",
		r.Optimizer.Settings, r.Optimizer.MaxNorm)
	if s.Fitted != nil {
		line("limit", "%s", s.Fitted)
	}
}

// describeCourse says how the learning rate goes in a stage.
func describeCourse(s recipe.Stage) string {
	if s.Schedule == nil {
		return fmt.Sprintf("%.3g, the schedule goes on", s.LR)
	}
	return fmt.Sprintf("%s to %.3g over %d steps", s.Schedule.Kind, s.LR, s.Schedule.Steps)
}

// describeVerbs says what a stage begins with.
func describeVerbs(r recipe.Recipe, s recipe.Stage) (list []string) {
	for _, v := range s.Entry.Verbs {
		text := v.Do
		switch {
		case v.Do == recipe.Grow:
			text = fmt.Sprintf("grow (%s, %s)", v.Operator, v.Position)
		case v.Do == recipe.Wrap:
			text = fmt.Sprintf("wrap (LoRA rank %d, alpha %g on %s; rate %.3g, decay %.3g)",
				r.LoRA.Rank, r.LoRA.Alpha, strings.Join(r.LoRA.Targets, " "), s.LoRALR, s.LoRADecay)
		case v.Do == recipe.Reset && v.Keep > 0:
			text = fmt.Sprintf("reset (%s, keeping %g)", v.Params, v.Keep)
		case v.Do == recipe.Reset && v.Params != recipe.AllParams:
			text = fmt.Sprintf("reset (%s)", v.Params)
		}
		list = append(list, text)
	}
	return list
}

// runFLOPs counts a run's matrix products and attention.
func runFLOPs(r recipe.Recipe, layouts []model.Layout) float64 {
	sum := 0.0
	for i, s := range r.Stages {
		sum += float64(s.Steps*r.GradAccum) * layouts[i].FLOPs(r.Batch).Total()
	}
	return sum
}

// runView shows a run while it goes on and keeps what the summary needs.
type runView struct {
	json    bool
	dir     string // the run's folder
	recipe  recipe.Recipe
	res     *result
	bar     *view.Progress
	evalBar *view.Progress
}

func newRunView(json bool, dir string, r recipe.Recipe, res *result) *runView {
	return &runView{json: json, dir: dir, recipe: r, res: res}
}

func (v *runView) report() stage.Report {
	return stage.Report{Step: v.step, Event: v.event, Evaluating: v.evaluating, Warn: flags.SessionUI(v.json).Warn}
}

func (v *runView) step(m record.Metrics) {
	v.res.step(m)
	if v.json {
		v.line(m)
		return
	}
	v.closeEval()
	if v.bar == nil {
		v.bar = view.NewProgress(view.ProgressOutput(v.json), "train", int64(v.recipe.Steps()), "steps")
	}
	v.bar.Describe(fmt.Sprintf("%d/%d loss %.3f %.0f tok/s %s", m.Stage, len(v.recipe.Stages), m.Loss,
		m.TokensPerSecond, gpu.Bytes(total(m.Bytes))))
	v.bar.Set(int64(m.Step))
	if m.Step == v.recipe.Steps() { // before what the end prints
		v.close()
	}
}

// Step keeps what a summary of the stages needs.
func (r *result) step(m record.Metrics) {
	for len(r.last) < m.Stage { // a resumed run may begin in a later stage
		r.first, r.last = append(r.first, m), append(r.last, m)
		r.steps, r.seconds = append(r.steps, 0), append(r.seconds, 0)
	}
	r.measure(m.Stage, m.Peaks, false)
	i := m.Stage - 1
	r.last[i] = m
	r.steps[i]++
	r.seconds[i] += float64(r.recipe.TokensPerStep()) / m.TokensPerSecond
}

func total(m map[string]int64) (n int64) {
	for _, b := range m {
		n += b
	}
	return n
}

func (v *runView) evaluating(set string, tokens int64) {
	if v.json {
		return
	}
	if v.evalBar == nil {
		v.clear()
		v.evalBar = view.NewProgress(view.ProgressOutput(v.json), "evaluate "+set, 0, "tokens")
	}
	v.evalBar.Set(tokens)
}

func (v *runView) closeEval() {
	if v.evalBar != nil {
		v.evalBar.Done()
		v.evalBar = nil
	}
}

// clear makes room for lines. The training bar goes on afterwards: begun anew
// it would never get to its next plain line where events come often.
func (v *runView) clear() {
	v.closeEval()
	if v.bar != nil {
		v.bar.Clear()
	}
}

// close ends the bars.
func (v *runView) close() {
	v.closeEval()
	if v.bar != nil {
		v.bar.Done()
		v.bar = nil
	}
}

// line prints an event as the run's metrics have it.
func (v *runView) line(e record.Event) {
	if b, err := record.Encode(e); err == nil {
		os.Stdout.Write(b)
	}
}

func (v *runView) event(e record.Event) {
	at := e.Moment()
	v.res.events = append(v.res.events, e)
	v.res.measure(at.Stage, at.Peaks, isTransition(e))
	if v.json {
		v.line(e)
		return
	}
	v.clear()
	w := os.Stdout
	switch e := e.(type) {
	case record.Growth:
		fmt.Fprintf(w, "step %d: grew from %d to %d layers (new: %s); %s parameters train, %s are frozen; peak %s\n",
			e.Step, e.From, e.To, places(e.New), view.Count(e.Trainable), view.Count(e.Frozen), gpu.Bytes(e.PeakBytes))
		if e.Note != "" {
			fmt.Fprintf(w, "         note: %s\n", e.Note)
		}
	case record.Transition:
		fmt.Fprintf(w, "step %d: stage %d begins; %s parameters train, %s are frozen; peak %s\n",
			e.Step, e.Stage, view.Count(e.Trainable), view.Count(e.Frozen), gpu.Bytes(e.PeakBytes))
	case record.Evaluation:
		var r eval.Result
		if err := e.Result.Into(&r); err != nil {
			fmt.Fprintf(w, "step %d: %s: %v\n", e.Step, e.Set, err)
			return
		}
		fmt.Fprintf(w, "step %d: %s perplexity %.3f per %s (%s, %d tokens, %s)\n",
			e.Step, e.Set, r.Perplexity(), r.Protocol.Unit, e.When, r.Tokens(), duration(e.Seconds))
	case record.Checkpoint:
		fmt.Fprintf(w, "step %d: saved %s (%s)\n", e.Step, e.Checkpoint, duration(e.Seconds))
	case record.Resume:
		fmt.Fprintf(w, "step %d: resumed from %s\n", e.Step, e.Checkpoint)
	case record.End:
		fmt.Fprintf(w, "step %d: the end; the model is in %s\n", e.Step, filepath.Join(v.dir, e.Checkpoint))
	}
}

// isTransition reports whether an event's peaks are a transition's.
func isTransition(e record.Event) bool {
	switch e.(type) {
	case record.Growth, record.Transition:
		return true
	}
	return false
}

func duration(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond)
}

// note prints a line that is no event.
func (v *runView) note(format string, args ...any) {
	if !v.json {
		v.clear()
		fmt.Printf(format+"\n", args...)
	}
}

// places prints positions counted from 1, as layers 2 and 4.
func places(list []int) string {
	var s []string
	for _, i := range list {
		s = append(s, fmt.Sprint(i+1))
	}
	return strings.Join(s, ", ")
}
