package harness

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
	"strings"

	"steplm/data/parquet"
	"steplm/stage/eval"
)

// located is a row and where it stands.
type located struct {
	Row
	at string // such as FILE:LINE
}

// Check reads a task's documents, and its shots where there are any: an error says what could not be asked, before a
// model is there to be asked.
func (t *Task) Check(folders []string, shots int) error {
	_, _, err := t.splits(folders, shots)
	return err
}

// splits reads the documents that are asked and those that shots are drawn from: the same where no others are.
func (t *Task) splits(folders []string, shots int) (documents, pool []Document, err error) {
	if documents, err = t.documents(folders, t.Data.Evaluated()); err != nil {
		return nil, nil, err
	}
	if shots > 0 && t.Data.pages != "" {
		return nil, nil, fmt.Errorf("%s: pages are scored with nothing before them: %d shots cannot be shown", t.Name,
			shots)
	}
	if shots == 0 || t.Data.Pool() == t.Data.Evaluated() {
		return documents, documents, nil
	}
	if pool, err = t.documents(folders, t.Data.Pool()); err != nil {
		return nil, nil, fmt.Errorf("shots: %w", err)
	}
	return documents, pool, nil
}

// documents reads a split.
func (t *Task) documents(folders []string, split string) (list []Document, err error) {
	files, err := t.files(folders, split)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		rows := t.rows(file)
		for row, err := range rows {
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.Name, err)
			}
			d, err := t.read(row.Row)
			if err == nil && t.Data.pages == "" {
				err = d.check()
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", t.Name, row.at, err)
			}
			list = append(list, d)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: %s has no rows", t.Name, strings.Join(files, ", "))
	}
	return list, nil
}

// rows reads a file.
func (t *Task) rows(path string) iter.Seq2[located, error] {
	ext := filepath.Ext(path)
	switch {
	case t.Data.pages != "" && ext != ".jsonl" && ext != ".json":
		return t.pageRows(path)
	case ext == ".parquet":
		return objects(path, parquet.Objects(path), "row")
	}
	rows := objects(path, jsonTexts(path), "")
	if labels, may := t.labelsBeside(path); may {
		return labelled(rows, labels, t.Data.labels)
	}
	return rows
}

// pageRows are the pages of WikiText, whatever rows it comes in.
func (t *Task) pageRows(path string) iter.Seq2[located, error] {
	return func(yield func(located, error) bool) {
		column := t.Data.pages
		texts, err := eval.Texts(eval.Source{Path: path, Column: column})
		if err != nil { // the lines of the first edition
			column = "text"
			var other error
			if texts, other = eval.Texts(eval.Source{Path: path, Column: column}); other == nil {
				err = nil
			}
		}
		if err != nil {
			yield(located{}, err)
			return
		}
		if column != t.Data.pages || filepath.Ext(path) != ".parquet" {
			texts = eval.Pages(texts)
		}
		n := 0
		for page, err := range texts {
			n++
			row := located{Row{object(nil).with(t.Data.pages, page)}, fmt.Sprintf("%s, page %d", path, n)}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// objects parses rows, which are counted as what; "": by their lines, with which they come.
func objects(path string, texts iter.Seq2[[]byte, error], what string) iter.Seq2[located, error] {
	return func(yield func(located, error) bool) {
		n := 0
		for text, err := range texts {
			n++
			at := fmt.Sprintf("%s:%d", path, n)
			if what != "" {
				at = fmt.Sprintf("%s, %s %d", path, what, n)
			}
			if err == nil && len(bytes.TrimSpace(text)) == 0 {
				continue
			}
			var o object
			if err == nil {
				if o, err = parseObject(text); err != nil {
					err = fmt.Errorf("%s: %w", at, err)
				}
			}
			if !yield(located{Row{o}, at}, err) || err != nil {
				return
			}
		}
	}
}

// jsonTexts are the lines of a file, or the elements of the one list that is in it.
func jsonTexts(path string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		file, err := os.Open(path)
		if err != nil {
			yield(nil, err)
			return
		}
		defer file.Close()
		r := bufio.NewReaderSize(file, 1<<20)
		for {
			b, err := r.Peek(1)
			if err != nil || b[0] != ' ' && b[0] != '\n' && b[0] != '\r' && b[0] != '\t' {
				break
			}
			// A list may be preceded by blank lines; what is not one then counts its lines from the first that is not
			// blank.
			r.ReadByte()
		}
		if b, err := r.Peek(1); err == nil && b[0] == '[' {
			elements(path, json.NewDecoder(r), yield)
			return
		}
		for {
			line, err := r.ReadBytes('\n')
			if len(line) > 0 && !yield(line, nil) {
				return
			}
			if err != nil {
				if err != io.EOF {
					yield(nil, fmt.Errorf("%s: %w", path, err))
				}
				return
			}
		}
	}
}

// elements are those of a list.
func elements(path string, d *json.Decoder, yield func([]byte, error) bool) {
	_, err := d.Token()
	for n := 1; err == nil && d.More(); n++ {
		var v json.RawMessage
		if err = d.Decode(&v); err != nil {
			err = fmt.Errorf("element %d: %w", n, err)
		} else if !yield(v, nil) {
			return
		}
	}
	if err == nil {
		_, err = d.Token()
	}
	if err != nil {
		yield(nil, fmt.Errorf("%s: %w", path, err))
	}
}

// labelled adds a field that rows lack, from the lines of another file, if there is one.
func labelled(rows iter.Seq2[located, error], path, name string) iter.Seq2[located, error] {
	return func(yield func(located, error) bool) {
		var labels []string
		text, err := os.ReadFile(path)
		if err == nil {
			labels = strings.Split(strings.TrimRight(string(text), "\r\n"), "\n")
		} else if !errors.Is(err, fs.ErrNotExist) {
			yield(located{}, err)
			return
		}
		n := 0
		for row, err := range rows {
			if n++; err == nil && labels != nil && !row.has(name) {
				if n > len(labels) {
					err = fmt.Errorf("%s: %s has %d lines: there must be one for each row", row.at, path, len(labels))
				} else {
					row.object = row.with(name, strings.TrimSpace(labels[n-1]))
				}
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}
