package train

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/stage"
	"steplm/stage/eval"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// lineEvery is how long standard output may go without a line of losses where nobody watches a bar.
const lineEvery = 5 * time.Second

// runView shows a run while it goes on and keeps what the summary needs.
type runView struct {
	json    bool
	dir     string // the run's folder
	recipe  recipe.Recipe
	res     *result
	bar     *view.Progress // of the training; nil: it is over, or not yet begun
	part    *view.Progress // what the run does besides: it compiles, evaluates, writes the model
	doing   string
	before  string    // what it did before it waited for others; "": it trained
	who     []int     // made the last round
	lines   bool      // losses are printed in lines, too
	printed time.Time // when the last such line was
}

func newRunView(json bool, dir string, r recipe.Recipe, res *result) *runView {
	watched := view.Terminal(os.Stdout) && view.Terminal(os.Stderr)
	return &runView{json: json, dir: dir, recipe: r, res: res, lines: !watched}
}

func (v *runView) report() stage.Report {
	return stage.Report{Step: v.step, Event: v.event, Evaluating: v.evaluating, Compiling: v.compiling,
		Sampling: func() { v.do("write samples", 0, "") }, Exported: v.exported, Waiting: v.waiting,
		Warn: flags.SessionUI(v.json).Warn}
}

// begin shows that training begins, after so many steps.
func (v *runView) begin(steps int) {
	if v.bar == nil {
		v.bar = view.NewProgress(view.ProgressOutput(v.json), "train", int64(v.recipe.Steps()), "steps")
	}
	v.bar.Set(int64(steps))
}

func (v *runView) step(m record.Metrics) {
	first := v.res.step(m)
	if v.json {
		v.encode(m)
		return
	}
	v.endPart()
	if v.bar == nil {
		v.begin(m.Step - 1)
	}
	stages := len(v.recipe.Stages)
	at := fmt.Sprintf("%d/%d", m.Stage, stages)
	v.bar.Say(view.Item{Long: "stage " + at, Short: at},
		view.Same("loss %.3f", m.Loss), view.Item{Long: view.Rate(m.TokensPerSecond) + " tokens/s",
			Short: view.Rate(m.TokensPerSecond) + "/s"}, view.Item{Long: gpu.Bytes(total(m.Bytes))})
	next, _ := v.recipe.StageOf(m.Step)
	v.bar.Set(int64(m.Step))
	v.lossLine(m, first || next+1 != m.Stage || m.Step == v.recipe.Steps())
	if m.Step == v.recipe.Steps() { // before what the end prints
		v.close()
		v.do("save and write the model", 0, "")
	}
}

// lossLine prints a step where it is due: the first and the last of each stage always.
func (v *runView) lossLine(m record.Metrics, always bool) {
	seconds := float64(m.Tokens) / float64(m.Step) / m.TokensPerSecond
	due := time.Since(v.printed)+time.Duration(seconds*float64(time.Second)) > lineEvery // The next may be too late.
	if !v.lines || !(always || due) {
		return
	}
	v.printed = time.Now()
	rest := ""
	if left, ok := v.bar.Left(); ok && m.Step < v.recipe.Steps() {
		rest = ", " + view.Duration(left) + " left"
	}
	v.print("step %d/%d: stage %d/%d, loss %.3f, %s tokens/s%s", m.Step, v.recipe.Steps(), m.Stage,
		len(v.recipe.Stages), m.Loss, view.Rate(m.TokensPerSecond), rest)
}

func total(m map[string]int64) (n int64) {
	for _, b := range m {
		n += b
	}
	return n
}

// do shows that the run does something besides training.
func (v *runView) do(what string, total int64, unit string) {
	if v.part != nil && v.doing == what {
		return
	}
	v.endPart()
	v.part, v.doing = view.NewProgress(view.ProgressOutput(v.json), what, total, unit), what
}

// endPart ends that.
func (v *runView) endPart() {
	if v.part != nil {
		v.part.Done()
		v.part = nil
		if v.bar != nil {
			v.bar.Rest() // What is left is told of training alone.
		}
	}
}

// waiting shows what the run waits for, in the place of what it shows besides training.
func (v *runView) waiting(what string) {
	if what != "" {
		before := v.doing
		if v.part == nil {
			before = ""
		}
		v.do("wait for "+what, 0, "")
		v.before = before
		return
	}
	v.endPart()
	if v.before != "" {
		v.do(v.before, 0, "")
	}
}

func (v *runView) evaluating(set string, tokens, total int64) {
	v.do("evaluate "+set, total, "tokens")
	v.part.Total(total)
	v.part.Set(tokens)
}

func (v *runView) compiling(i, n int, kernel string) {
	if i == n {
		v.endPart()
		return
	}
	v.do("compile", int64(n), "kernels")
	v.part.Describe(kernel)
	v.part.Set(int64(i))
}

// step keeps what a summary of the stages needs, and reports whether it is a stage's first step here.
func (r *result) step(m record.Metrics) (first bool) {
	for len(r.steps) < m.Stage { // a resumed run may begin in a later stage
		r.steps, r.seconds, r.flops = append(r.steps, 0), append(r.seconds, 0), append(r.flops, 0)
		r.tokens = append(r.tokens, 0)
	}
	r.measure(m.Stage, m.Peaks, false)
	i := m.Stage - 1
	r.steps[i]++
	tokens := float64(m.Tokens - r.seen)
	if m.Tokens <= r.seen || r.seen == 0 && m.Step > 1 { // A resumed run's first step has about as many as others.
		tokens = float64(m.Tokens) / float64(m.Step)
	}
	r.seen = m.Tokens
	seconds := tokens / m.TokensPerSecond
	r.tokens[i], r.seconds[i], r.flops[i] = r.tokens[i]+tokens, r.seconds[i]+seconds,
		r.flops[i]+seconds*m.FLOPsPerSecond
	r.count(m)
	return r.steps[i] == 1
}

// count adds a step's operations to those of all.
func (r *result) count(m record.Metrics) {
	switch {
	case m.FLOPs > 0:
		r.counted, r.depends = r.counted+m.FLOPs, true
	case m.Stage <= len(r.usual):
		r.counted += r.usual[m.Stage-1]
	}
}

func (v *runView) exported(dir string) {
	if !v.json {
		v.endPart()
		v.print("step %d: the trained model is in %s", v.recipe.Steps(), filepath.Join(v.dir, dir))
	}
}

// close ends what is shown.
func (v *runView) close() {
	v.endPart()
	if v.bar != nil {
		v.bar.Done()
		v.bar = nil
	}
}

// encode prints an event as the run's metrics have it.
func (v *runView) encode(e record.Event) {
	if b, err := record.Encode(e); err == nil {
		os.Stdout.Write(b)
	}
}

// print prints a line, unless the output is JSON.
func (v *runView) print(format string, args ...any) {
	if !v.json {
		view.Print(os.Stdout, fmt.Sprintf(format, args...)+"\n")
	}
}

func (v *runView) event(e record.Event) {
	at := e.Moment()
	v.res.events = append(v.res.events, e)
	v.res.measure(at.Stage, at.Peaks, isTransition(e))
	if v.json {
		v.encode(e)
		return
	}
	v.endPart()
	switch e := e.(type) {
	case record.Growth:
		v.print("step %d: grew from %d to %d layers (new: %s); %s parameters train, %s are frozen; peak %s",
			e.Step, e.From, e.To, places(e.New), view.Count(e.Trainable), view.Count(e.Frozen), gpu.Bytes(e.PeakBytes))
		if e.Note != "" {
			v.print("         note: %s", e.Note)
		}
	case record.Transition:
		v.print("step %d: stage %d begins; %s parameters train, %s are frozen; peak %s",
			e.Step, e.Stage, view.Count(e.Trainable), view.Count(e.Frozen), gpu.Bytes(e.PeakBytes))
	case record.Evaluation:
		var r eval.Result
		if err := e.Result.Into(&r); err != nil {
			v.print("step %d: %s: %v", e.Step, e.Set, err)
			return
		}
		v.print("step %d: %s perplexity %.3f per %s (%s, %s, %s)", e.Step, e.Set, r.Perplexity(), r.Protocol.Unit,
			e.When, view.Plural(r.Tokens(), "token", "tokens"), duration(e.Seconds))
	case record.Samples:
		v.print("step %d: %s", e.Step, saidLine(e.Samples))
	case record.Checkpoint:
		v.print("step %d: saved %s (%s)", e.Step, e.Checkpoint, duration(e.Seconds))
	case record.Resume:
		v.print("step %d: resumed from %s", e.Step, e.Checkpoint)
		v.begin(e.Step)
	case record.Rollback:
		from := "the beginning"
		if e.Checkpoint != "" {
			from = e.Checkpoint
		}
		v.print("step %d was a spike (loss %.4g, gradient norm %.4g, medians %.4g and %.4g): back to %s, without its "+
			"batches; rollback %d", e.Spike, e.Loss, e.GradNorm, e.MedianLoss, e.MedianNorm, from, e.Rollbacks)
		v.begin(e.Step)
	case record.Best:
		early := ""
		if e.Early {
			early = fmt.Sprintf("no better one came since: the run ends before step %d; ", v.recipe.Steps())
		}
		v.print("step %d: %sthe trained model is that of step %d (%s loss %.4f)", e.Step, early, e.Of, e.Set, e.Loss)
	case record.Round:
		v.round(e)
	case record.Failure: // The command tells the error.
	case record.End:
		v.print("step %d: the end", e.Step)
	}
}

// mostSaid is how many characters of a sample a line shows.
const mostSaid = 100

// saidLine is the first of some samples in one plain line, which no model can make another of.
func saidLine(list []record.Sample) string {
	between := "" // A text goes on, a question is answered.
	if list[0].Reference != "" {
		between = " -> "
	}
	text := []rune(list[0].Prompt + between + list[0].Text)
	more := ""
	if len(text) > mostSaid {
		text, more = text[:mostSaid], "..."
	}
	return fmt.Sprintf("says %s%s (1 of %s)", strconv.Quote(string(text)), more,
		view.Plural(int64(len(list)), "sample", "samples"))
}

// round tells of a round that others than before made, or in which one is missing.
func (v *runView) round(e record.Round) {
	var who []int
	for _, s := range e.Shares {
		who = append(who, s.Process)
	}
	if !slices.Equal(who, v.who) {
		v.print("step %d: %s made the round, %s tokens; %s sent and %s received", e.Step,
			view.Plural(int64(len(who)), "process", "processes"), view.Count(e.Tokens), gpu.Bytes(e.Sent),
			gpu.Bytes(e.Received))
	}
	for _, s := range e.Missing {
		v.print("step %d: the round lacks the share of process %d, %s: %s", e.Step, s.Process, s.Name, s.Why)
	}
	v.who = who
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

// places prints positions counted from 1, as layers 2 and 4.
func places(list []int) string {
	var s []string
	for _, i := range list {
		s = append(s, fmt.Sprint(i+1))
	}
	return strings.Join(s, ", ")
}
