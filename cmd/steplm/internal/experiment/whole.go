package experiment

import (
	"fmt"
	"os"
	"sync"
	"time"

	"steplm/cmd/steplm/internal/view"
	"steplm/stage/experiment"
	"steplm/stage/record"
	"steplm/stage/results"
)

// lineEvery is how often a line tells how far the whole has got where nobody watches.
const lineEvery = time.Minute

// whole is the one line that tells how far an experiment has got, by the operations of all its runs.
type whole struct {
	mu     sync.Mutex
	folder *experiment.Folder
	bar    *view.Progress
	done   float64 // operations of runs that are over
	all    float64 // of all
	over   int     // runs
	runs   int     // all
	under  []*seeing
}

// seeing is a run under way, as the whole shows it.
type seeing struct {
	of     *whole
	run    experiment.Run
	steps  int // of the run
	effort experiment.Effort
	at     int     // steps that are done
	scored int64   // tokens, at its end
	asked  float64 // share of its evaluation
	over   bool    // all but its evaluation is counted among what is over
}

// done is the operations that are not counted among what is over.
func (s *seeing) done() float64 {
	asking := s.effort.Asking * s.asked
	if s.over {
		return asking
	}
	return s.effort.Training*float64(s.at)/float64(s.steps) +
		s.effort.Token*float64(min(s.scored, s.effort.Tokens)) + asking
}

// parts is how finely the whole is shown.
const parts = 1_000_000

func newWhole(f *experiment.Folder) (*whole, error) {
	w := &whole{folder: f}
	w.bar = view.NewProgressEvery(os.Stderr, f.File.Name, parts, "", lineEvery)
	return w, w.count()
}

// count looks which runs are over.
func (w *whole) count() (err error) {
	rows := experiment.All(w.folder.Rows())
	w.over, w.runs = 0, len(rows)
	for _, row := range rows {
		if row.Status.Over() {
			w.over++
		}
	}
	w.over -= len(w.folder.Unevaluated())
	for _, s := range w.under {
		s.over = w.folder.Row(s.run).Status.Over()
	}
	w.done, w.all, err = w.folder.Work()
	w.set()
	return err
}

// set shows how much is done.
func (w *whole) set() {
	sum := w.done
	for _, s := range w.under {
		sum += s.done()
	}
	w.bar.Set(int64(parts * sum / w.all))
}

// begin shows that a run begins or goes on.
func (w *whole) begin(r experiment.Run) (*seeing, error) {
	recipe, err := w.folder.Recipe(r)
	if err != nil {
		return nil, err
	}
	effort, err := w.folder.Effort(r)
	if err != nil {
		return nil, err
	}
	s := &seeing{of: w, run: r, steps: recipe.Steps(), effort: effort}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.under = append(w.under, s)
	return w.under[len(w.under)-1], w.count() // One that had failed before is no longer over.
}

// doing shows what a run does besides training, how many tokens it scored, and how far its evaluation is, if that is
// it.
func (s *seeing) doing(t told) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.say(view.Item{Long: t.Doing, Short: t.Doing})
	if s.at == s.steps && t.Scored > 0 {
		s.scored = t.Scored
	}
	if t.Asked > 0 {
		s.at, s.scored, s.asked = s.steps, s.effort.Tokens, t.Asked
	}
	s.of.set()
}

// step shows a step of a run.
func (s *seeing) step(m record.Metrics) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.at = m.Step
	s.say(view.Item{Long: fmt.Sprintf("step %d/%d", m.Step, s.steps)}, view.Same("loss %.3f", m.Loss))
	s.of.set()
}

// say sets what is said of the run that was heard of last.
func (s *seeing) say(items ...view.Item) {
	done := view.Item{Long: fmt.Sprintf("%d of %d runs done", s.of.over, s.of.runs),
		Short: fmt.Sprintf("%d/%d runs", s.of.over, s.of.runs)}
	s.of.bar.Say(append([]view.Item{done, {Long: s.run.Name, Short: s.run.Name}}, items...)...)
}

// end shows what became of a run.
func (w *whole) end(e ran, row results.Row) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, s := range w.under {
		if s.run.Name == e.run.Name {
			w.under = append(w.under[:i], w.under[i+1:]...)
			break
		}
	}
	text := ""
	switch {
	case e.stopped:
		text = "stopped, and saved"
	case e.problem != "" && row.Status == results.Done:
		text = "done, but not evaluated: " + e.problem
	case row.Status == results.Done || row.Status == results.Selection:
		text = fmt.Sprintf("%s, validation perplexity %.6g, training loss %.4f", row.Status, row.ValidationPerplexity,
			row.TrainLoss)
	default:
		text = fmt.Sprintf("%s: %s", row.Status, row.Problem)
	}
	say("%s: %s", e.run.Name, text)
	return w.count()
}

// close ends the line.
func (w *whole) close() { w.bar.Done() }
