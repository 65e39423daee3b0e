package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"reflect"
)

// Encode is an event's line, with its line break.
func Encode(e Event) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	if kind := e.Kind(); kind != "" {
		body = append(fmt.Appendf(nil, `{"event":%q,`, kind), body[1:]...)
	}
	return append(body, '\n'), nil
}

// ErrVersion is a line of a kind that this version does not know.
var ErrVersion = errors.New("a later version may have written it")

// Decode reads a line. The event has the type that it was encoded from.
func Decode(line []byte) (Event, error) {
	var head struct {
		Event  string
		Step   *int
		Tokens *int64
		Loss   *float64
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return nil, fmt.Errorf("not a line of metrics: %w", err)
	}
	if head.Event == "" && (head.Step == nil || head.Tokens == nil || head.Loss == nil) {
		return nil, errors.New("neither an event nor a step with its tokens and loss")
	}
	for _, e := range events {
		if e.Kind() != head.Event {
			continue
		}
		into := reflect.New(reflect.TypeOf(e))
		if err := json.Unmarshal(line, into.Interface()); err != nil {
			return nil, fmt.Errorf("not a line of metrics: %w", err)
		}
		return into.Elem().Interface().(Event), nil
	}
	return nil, fmt.Errorf("there is no event %q: %w", head.Event, ErrVersion)
}

// Read gives a run's events in order; path is the file or the run's folder. An error names the line and
// ends it. A last line that has no end is left out: the run is writing it, or was killed at it.
func Read(path string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for l, err := range readLines(path) {
			if !yield(l.Event, err) {
				return
			}
		}
	}
}

// line is an event, and the bytes of its file before it.
type line struct {
	Event
	before int64
}

// readLines is Read with where each line begins.
func readLines(path string) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		f, err := openMetrics(path)
		if err != nil {
			yield(line{}, err)
			return
		}
		defer f.Close()
		at := int64(0)
		for in, n := bufio.NewReader(f), 1; ; n++ {
			text, err := in.ReadBytes('\n')
			if errors.Is(err, io.EOF) {
				return
			}
			var e Event
			if err == nil {
				e, err = Decode(bytes.TrimSuffix(text, []byte("\n")))
			}
			if err != nil {
				yield(line{}, fmt.Errorf("%s, line %d: %w", f.Name(), n, err))
				return
			}
			if !yield(line{e, at}, nil) {
				return
			}
			at += int64(len(text))
		}
	}
}

// bytesUntil are those of a run's lines before the first that is of a later step than a moment, or of a later stage;
// all where there is none.
func bytesUntil(path string, m At) (n int64, err error) {
	for l, err := range readLines(path) {
		if err != nil {
			return 0, err
		}
		if at := l.Moment(); at.Step > m.Step || at.Stage > m.Stage {
			return l.before, nil
		}
	}
	info, err := os.Stat(fileAt(path))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// fileAt is the metrics at a path or in a run's folder.
func fileAt(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return filepath.Join(path, File)
	}
	return path
}

// openMetrics opens the metrics at a path or in a run's folder.
func openMetrics(path string) (*os.File, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	path = fileAt(path)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no run: there is no %s", filepath.Dir(path), File)
	}
	return f, err
}
