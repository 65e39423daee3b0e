package mtbench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Work is what of a contest is still to be judged.
type Work struct {
	Judge   string
	matches []Match
	file    Judgments
	pending []pending
}

// pending is a match with the replies that there are; ErrorReply: there is none.
type pending struct {
	Match
	replies []string
}

// NewWork finds out which matches a file has no judgments of by a judge. A judgment of something else that has their
// name, as after answers were made anew, is an error: it would be taken for what it is not.
func NewWork(judge string, matches []Match, file Judgments) (*Work, error) {
	known := map[key]Judgment{}
	for _, j := range file.List {
		if j.Judge[0] != judge {
			return nil, fmt.Errorf("%s has judgments by %s, not by %s: FastChat would take the mean over both. Each "+
				"judge has a file of its own", file.Path, j.Judge[0], judge)
		}
		before, there := known[j.key()]
		if !there || slices.Contains(before.Replies, ErrorReply) {
			known[j.key()] = j
		}
	}
	w := &Work{Judge: judge, matches: matches, file: file}
	for _, m := range matches {
		if len(file.List) > 0 && len(file.List[0].Models) != len(m.Models) {
			return nil, fmt.Errorf("%s has judgments of another mode: single and pairwise ones have files of their own",
				file.Path)
		}
		replies := slices.Repeat([]string{ErrorReply}, len(m.Asks))
		if j, there := known[m.key(judge)]; there {
			if !slices.Equal(j.Asks, m.Asks) {
				return nil, fmt.Errorf("%s has a judgment of another answer of %s to question %d, turn %d: answers, "+
					"questions or prompts have changed since. Judge into another file, or take the old lines away",
					file.Path, m.Models[0], m.Question.ID, m.Turn)
			}
			replies = j.Replies
		}
		if slices.Contains(replies, ErrorReply) {
			w.pending = append(w.pending, pending{m, slices.Clone(replies)})
		}
	}
	return w, nil
}

// Matches are how many matches there are, and how many of them are to be judged.
func (w *Work) Matches() (all, left int) { return len(w.matches), len(w.pending) }

// Requests are how many times the judge is to be asked, and the bytes of what it is asked then.
func (w *Work) Requests() (n int, bytes int64) {
	for _, p := range w.pending {
		for i, reply := range p.replies {
			if reply == ErrorReply {
				n++
				bytes += int64(len(p.Prompt.System) + len(p.Asks[i]))
			}
		}
	}
	return n, bytes
}

// Asker asks a judge. Any number of goroutines may call its functions.
type Asker struct {
	Ask func(ctx context.Context, system, user string) (reply string, err error)
	// Over reports whether an error means that asking for anything else is of no use.
	Over     func(error) bool
	Parallel int                       // matches at once
	Now      func() Seconds            // of a line
	Done     func(matches, failed int) // hears of every match
}

// mostFailures is how many matches in a row may fail until the judge is given up.
const mostFailures = 8

// Unjudged is the error of matches for which there is no reply. Those that were asked for have lines with ErrorReply,
// as in FastChat's files.
type Unjudged struct {
	Matches, Of int
	Why         error // the first one's
}

func (e *Unjudged) Error() string {
	return fmt.Sprintf("%d of %d judgments could not be had: %v", e.Matches, e.Of, e.Why)
}

func (e *Unjudged) Unwrap() error { return e.Why }

// Run asks for what is missing and appends each judgment to the log as soon as it is there; at the end the file has the
// lines that were there and are none of these matches', and then these in their order. Where the context ends nothing
// more is asked for, and what has been asked is waited for. An error of matches is an *Unjudged.
func (w *Work) Run(ctx context.Context, log *Log, a Asker) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &running{Asker: a, w: w, log: log, stop: cancel, judged: map[key]Judgment{}}
	next := make(chan pending)
	var workers sync.WaitGroup
	for range max(1, min(a.Parallel, len(w.pending))) {
		workers.Go(func() {
			for p := range next {
				if ctx.Err() == nil { // else it came while the last one failed
					r.match(ctx, p)
				}
			}
		})
	}
feed:
	for _, p := range w.pending {
		select {
		case next <- p:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	workers.Wait()
	if r.broken != nil {
		return r.broken
	}
	if err := log.Replace(w.lines(r.judged)); err != nil {
		return err
	}
	if left := len(w.pending) - r.done + r.failed; left > 0 {
		why := r.first
		if why == nil {
			why = context.Cause(ctx)
		}
		return &Unjudged{left, len(w.matches), why}
	}
	return nil
}

// running is a Run.
type running struct {
	Asker
	w    *Work
	log  *Log
	stop func(error)

	mu             sync.Mutex
	judged         map[key]Judgment
	done, failed   int // matches
	failuresInARow int
	first          error // of a match
	broken         error // of the log
}

// match judges one. Of two games a reply that is there is kept, whatever becomes of the other.
func (r *running) match(ctx context.Context, p pending) {
	var failure error
	asked := false
	for i, reply := range p.replies {
		if reply != ErrorReply || failure != nil {
			continue
		}
		text, err := r.Ask(ctx, p.Prompt.System, p.Asks[i])
		if failure = err; err == nil {
			p.replies[i], asked = text, true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	over := failure != nil && (r.Over(failure) || ctx.Err() != nil)
	if asked || !over {
		j := p.judged(r.w.Judge, p.replies, r.Now())
		if err := r.log.Append(j); err != nil {
			r.broken = errors.Join(r.broken, err)
			r.stop(err)
			return
		}
		r.judged[j.key()] = j
	}
	r.done++
	r.failuresInARow++
	if failure == nil {
		r.failuresInARow = 0
	} else {
		r.failed++
		if r.first == nil || errors.Is(r.first, context.Canceled) {
			r.first = failure
		}
	}
	if over || r.failuresInARow >= mostFailures {
		r.stop(failure)
	}
	r.Done(r.done, r.failed)
}

// lines are the file's when all is judged that can be.
func (w *Work) lines(judged map[key]Judgment) (lines [][]byte) {
	ours := map[key]bool{}
	for _, m := range w.matches {
		ours[m.key(w.Judge)] = true
	}
	kept := map[key][]byte{}
	replied := map[key]bool{}
	for i, j := range w.file.List {
		k := j.key()
		if !ours[k] {
			lines = append(lines, w.file.raw[i])
			continue
		}
		if !replied[k] {
			kept[k], replied[k] = w.file.raw[i], !slices.Contains(j.Replies, ErrorReply)
		}
	}
	for k, j := range judged {
		if text, err := pythonJSON(j); err == nil { // It was written before.
			kept[k] = text
		}
	}
	for _, m := range w.matches {
		if line, there := kept[m.key(w.Judge)]; there {
			lines = append(lines, line)
		}
	}
	return lines
}
