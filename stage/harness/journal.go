package harness

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"steplm/internal/disk"
	"steplm/model/likelihood"
)

// Journal keeps answers in a file as they come, so that an evaluation that ends early goes on where it was. A nil one
// keeps nothing.
type Journal struct {
	path    string
	file    *os.File
	answers map[key]likelihood.Answer
}

// entry is a line of a journal.
type entry struct {
	Key           string  `json:"key"`
	LogLikelihood float64 `json:"ll"`
	Greedy        bool    `json:"greedy"`
}

// OpenJournal opens the journal of whom the identity names, in a folder: what other answers than those of the same model,
// on the same device, would be used for must have another.
func OpenJournal(folder, identity string) (*Journal, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(identity))
	j := &Journal{path: filepath.Join(folder, hex.EncodeToString(hash[:12])+".jsonl"),
		answers: map[key]likelihood.Answer{}}
	whole, err := j.read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if j.file, err = os.OpenFile(j.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err != nil {
		return nil, err
	}
	if !whole { // the last line was not written to its end
		_, err = j.file.WriteString("\n")
	}
	return j, err
}

// read reads what is there. A line that is not whole says nothing.
func (j *Journal) read() (whole bool, err error) {
	file, err := os.Open(j.path)
	if err != nil {
		return true, err
	}
	defer file.Close()
	r := bufio.NewReader(file)
	for whole = true; ; {
		line, err := r.ReadBytes('\n')
		var e entry
		if json.Unmarshal(line, &e) == nil && bytes.HasSuffix(line, []byte("\n")) {
			var k key
			if n, err := hex.Decode(k[:], []byte(e.Key)); err == nil && n == len(k) {
				j.answers[k] = likelihood.Answer{LogLikelihood: e.LogLikelihood, Greedy: e.Greedy}
			}
		}
		if err == io.EOF {
			return len(line) == 0, nil
		}
		if err != nil {
			return true, err
		}
	}
}

// Answers is how many the journal holds.
func (j *Journal) Answers() int { return len(j.known()) }

func (j *Journal) known() map[key]likelihood.Answer {
	if j == nil {
		return nil
	}
	return j.answers
}

// keep writes an answer.
func (j *Journal) keep(k key, a likelihood.Answer) error {
	if j == nil {
		return nil
	}
	line, err := json.Marshal(entry{hex.EncodeToString(k[:]), a.LogLikelihood, a.Greedy})
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	return err
}

// Close ends the journal, and removes it where the evaluation is complete.
func (j *Journal) Close(complete bool) error {
	if j == nil {
		return nil
	}
	err := j.file.Close()
	if complete {
		err = errors.Join(err, disk.Remove(j.path))
	}
	return err
}
