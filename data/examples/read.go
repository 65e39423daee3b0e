package examples

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"steplm/data/chat"
	"steplm/data/internal/kind"
)

// Options say how examples are read.
type Options struct {
	Tokenizer Tokenizer
	Format    chat.Format // of conversations; nil: Alpaca's prompt
	SeqLen    int         // T, ids of an example, at most: it is cut on the right
	SkipBad   bool        // what cannot be read is left out and counted, instead of an error
	// Undated leaves the day that a chat template is told out of the identity, as earlier versions did.
	Undated bool

	most int // records of a file; 0: all; tests set it
}

// Left counts the examples that are left out or cut, by why.
type Left struct {
	Bad   int64 `json:"bad,omitempty"`   // could not be read
	Empty int64 `json:"empty,omitempty"` // answer nothing
	Long  int64 `json:"long,omitempty"`  // their prompts alone fill a window: nothing of them would count
	Cut   int64 `json:"cut,omitempty"`   // are not left out, but longer than a window: they lose their end
}

// Set is examples that were read, in the order of the files.
type Set struct {
	Examples []Example
	Left     Left
	Unread   []string // keys of records that nobody reads, sorted
	Talks    int      // how many of them are conversations
	SeqLen   int      // as Options have it
	identity string
}

// Identity is a SHA-256 over the files' contents and, in words, what else decides what the examples are but the
// tokenizer. Of Alpaca's records in Parquet, files stand for their contents as those of data.Shards do, by name, size
// and footer. Moving files keeps it, and but for these renaming them; their order counts.
func (s *Set) Identity() string { return s.identity }

// mostFile bounds a file's text in bytes: all of it is held in memory while it is read.
const mostFile = 4 << 30

// Read reads the examples of files, in their order. A record that cannot be read is an error that says which, unless
// they are skipped; so is a set without an example.
func Read(files []string, o Options) (*Set, error) {
	o.Format = cmp.Or[chat.Format](o.Format, chat.Alpaca{})
	s := &Set{SeqLen: o.SeqLen}
	e := encoder{o.Tokenizer, o.Format}
	hash := sha256.New()
	for _, path := range files {
		f, err := open(path)
		if err != nil {
			return nil, err
		}
		if err := s.add(path, f, e, o); err != nil {
			return nil, err
		}
		fmt.Fprintln(hash, f.sum)
	}
	s.identity = hex.EncodeToString(hash.Sum(nil)) + fmt.Sprintf(", examples of %d tokens at most", o.SeqLen)
	if t, ok := o.Format.(*chat.Template); ok {
		s.identity += fmt.Sprintf(", chat template %.16x", sha256.Sum256([]byte(t.Source())))
		if t.Marks() { // Versions that did not heed it learned from other tokens.
			s.identity += ", which marks what is generated"
		}
		if t.Dated() && !o.Undated && s.Talks > 0 { // Alpaca's records have a prompt of their own.
			s.identity += ", told the date " + t.Day()
		}
	}
	if o.SkipBad {
		s.identity += ", skip-bad"
	}
	slices.Sort(s.Unread)
	if len(s.Examples) == 0 {
		return nil, fmt.Errorf("%s: no example that can be learned from (%s)", strings.Join(files, ", "), s.Left)
	}
	return s, nil
}

// End is the id with which every example ends that was not cut, and which counts: where a model ends its answer; ok is
// false where they end otherwise.
func (s *Set) End() (id uint32, ok bool) {
	for _, x := range s.Examples {
		if len(x.IDs) == s.SeqLen {
			continue // perhaps cut
		}
		last := x.IDs[x.Learned[len(x.Learned)-1].To-1]
		if ok && last != id {
			return 0, false
		}
		id, ok = last, true
	}
	return id, ok
}

// String lists what was left out.
func (l Left) String() string {
	var list []string
	for _, x := range []struct {
		n    int64
		what string
	}{{l.Bad, "could not be read"}, {l.Empty, "with an empty answer"}, {l.Long, "whose prompt alone fills a window"},
		{l.Cut, "cut to a window"}} {
		if x.n > 0 {
			list = append(list, fmt.Sprintf("%d %s", x.n, x.what))
		}
	}
	if len(list) == 0 {
		return "none was left out or cut"
	}
	return strings.Join(list, ", ")
}

// add takes in a file's examples.
func (s *Set) add(path string, f *source, e encoder, o Options) error {
	read := 0
	for r, err := range f.records {
		if read++; o.most > 0 && read > o.most {
			return nil
		}
		var x Example
		if err == nil {
			for _, key := range r.others {
				if !slices.Contains(s.Unread, key) {
					s.Unread = append(s.Unread, key)
				}
			}
			if err = r.err; err == nil {
				x, err = e.encode(r.record)
			}
			if err != nil && !errors.Is(err, errEmpty) {
				err = fmt.Errorf("%s, %s: %w", path, r.at, err)
			}
		} else {
			return fmt.Errorf("%s: %w", path, err)
		}
		switch {
		case errors.Is(err, errEmpty):
			s.Left.Empty++
			continue
		case err != nil && o.SkipBad:
			s.Left.Bad += r.rows
			continue
		case err != nil:
			return err
		}
		cut := x.cut(o.SeqLen)
		if x.Targets() == 0 {
			s.Left.Long++
			continue
		}
		if x.Cut = cut; cut {
			s.Left.Cut++
		}
		s.Examples = append(s.Examples, x)
		if r.messages != nil {
			s.Talks++
		}
	}
	return nil
}

// found is a record, or why there is none, and where it stands.
type found struct {
	record
	others []string
	err    error
	at     string
	rows   int64 // that it stands for: several where they cannot be told apart
}

// source is a file's records and the hash of its content, which is there when they were read. An error of the sequence
// is the whole file's.
type source struct {
	records iter.Seq2[found, error]
	sum     string
}

// open looks what a file is.
func open(path string) (*source, error) {
	isParquet, compression, err := kind.Compressed(path)
	if err != nil {
		return nil, err
	}
	if isParquet {
		return openColumns(path)
	}
	text, err := compression.ReadBytes(path, mostFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	text = bytes.TrimPrefix(text, []byte("\uFEFF"))
	sum := sha256.Sum256(text)
	s := &source{sum: hex.EncodeToString(sum[:])}
	switch begin := bytes.TrimLeft(text, " \t\r\n"); {
	case len(begin) == 0:
		return nil, fmt.Errorf("%s: the file is empty", path)
	case begin[0] == '[':
		s.records = array(text)
	case begin[0] == '{':
		s.records = lines(text)
	default:
		return nil, fmt.Errorf("%s: neither a JSON array nor JSON Lines: examples are objects with instruction and "+
			"output, or with messages or conversations", filepath.Clean(path))
	}
	return s, nil
}

// lines are the records of JSON Lines; blank lines are none.
func lines(text []byte) iter.Seq2[found, error] {
	return func(yield func(found, error) bool) {
		n := 0
		for line := range bytes.SplitSeq(text, []byte("\n")) {
			n++
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			f := found{at: fmt.Sprint("line ", n), rows: 1}
			f.record, f.others, f.err = parse(line)
			if !yield(f, nil) {
				return
			}
		}
	}
}

// array are the records of a JSON array. What is no JSON ends it: nobody knows where the next element begins.
func array(text []byte) iter.Seq2[found, error] {
	return func(yield func(found, error) bool) {
		d := json.NewDecoder(bytes.NewReader(text))
		line, counted := 1, 0
		at := func() string { // the next element's place
			from := int(d.InputOffset())
			from += len(text[from:]) - len(bytes.TrimLeft(text[from:], " \t\r\n,"))
			line += bytes.Count(text[counted:from], []byte("\n"))
			counted = from
			return fmt.Sprint("line ", line)
		}
		fail := func(n int, err error) {
			yield(found{}, fmt.Errorf("%s, example %d: %w", at(), n, plainJSON(err)))
		}
		if _, err := d.Token(); err != nil {
			fail(1, err)
			return
		}
		for n := 1; ; n++ {
			if !d.More() {
				break
			}
			f := found{at: fmt.Sprintf("%s, example %d", at(), n), rows: 1}
			var raw json.RawMessage
			if err := d.Decode(&raw); err != nil {
				fail(n, err)
				return
			}
			f.record, f.others, f.err = parse(raw)
			if !yield(f, nil) {
				return
			}
		}
		if _, err := d.Token(); err != nil {
			yield(found{}, fmt.Errorf("the array does not end: the file is cut short: %w", err))
			return
		}
		if rest := bytes.TrimSpace(text[d.InputOffset():]); len(rest) > 0 {
			yield(found{}, fmt.Errorf("%s: something follows the array: %s", at(), short(rest)))
		}
	}
}
