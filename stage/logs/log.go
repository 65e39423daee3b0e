package logs

import (
	"fmt"
	"slices"
	"time"

	"steplm/stage/record"
)

// Log writes a run's events in formats, as they come.
type Log struct {
	run    Run
	warn   func(text string)
	now    func() time.Time
	wanted []Format
	begun  bool
	count  counter
	open   []sink
}

// sink is a format that is being written.
type sink struct {
	name string
	Sink
}

// Open is a log of a run in the formats of some names, of which an unknown one is an error. It writes nothing yet. warn
// hears, once for each format, of what it cannot write; the format then goes without, until the next process.
func Open(run Run, names []string, warn func(text string)) (*Log, error) {
	l := &Log{run: run, warn: warn, now: time.Now}
	for _, f := range Formats {
		if slices.Contains(names, f.Name) {
			l.wanted = append(l.wanted, f)
		}
	}
	for _, name := range names {
		if !slices.Contains(Names(), name) {
			return nil, fmt.Errorf("there is no log format %q", name)
		}
	}
	return l, nil
}

// Event takes an event whose line is in the run's metrics already. Before the first step, or a resume, it does
// nothing: a run that fails there leaves no files.
func (l *Log) Event(e record.Event) {
	switch e.(type) {
	case record.Resume, record.Rollback:
		l.begin()
		return
	case record.Metrics:
		if !l.begun {
			l.begin()
			return
		}
	}
	if !l.begun {
		return
	}
	if l.count.isBefore(e) {
		l.begin()
		return
	}
	p := l.count.point(e)
	l.each("write", func(s Sink) error { return s.Point(p) })
	switch e.(type) {
	case record.Checkpoint, record.Evaluation, record.Failure, record.End:
		l.each("write", Sink.Save)
	}
}

// begin writes all formats anew from the metrics.
func (l *Log) begin() {
	l.Close()
	l.begun = true
	var all counter
	for e, err := range record.Read(l.run.Dir) {
		if err != nil {
			l.warn(fmt.Sprintf("the run goes on without logs in other formats: %v", err))
			return
		}
		all.point(e)
	}
	l.run.Began = l.now().Add(-time.Duration(all.seconds * float64(time.Second))).Round(time.Microsecond)
	for _, f := range l.wanted {
		s, err := f.Begin(l.run)
		if err != nil {
			l.failed(f.Name, "begin", err)
			continue
		}
		l.open = append(l.open, sink{f.Name, s})
	}
	l.count = counter{began: l.run.Began}
	for e, err := range record.Read(l.run.Dir) {
		if err != nil {
			break // The lines were whole a moment ago: another program is at the file.
		}
		p := l.count.point(e)
		l.each("write", func(s Sink) error { return s.Point(p) })
	}
	l.each("write", Sink.Save)
}

// each has every open format do something; one that fails is closed.
func (l *Log) each(what string, do func(Sink) error) {
	l.open = slices.DeleteFunc(l.open, func(s sink) bool {
		err := do(s.Sink)
		if err != nil {
			s.Close() // It has failed already.
			l.failed(s.name, what, err)
		}
		return err != nil
	})
}

func (l *Log) failed(name, what string, err error) {
	l.warn(fmt.Sprintf(
		"cannot %s the run's log for %s, and the run goes on without it; a resume makes it anew from %s: %v",
		what, name, record.File, err))
}

// Close ends the writing.
func (l *Log) Close() {
	l.each("write", Sink.Save)
	l.each("close", Sink.Close)
	l.open = nil
}
