package harness

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
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

// OpenJournal opens the journal of whom the identity names, in a folder: what other answers than those of the same
// model, on the same device, would be used for must have another.
func OpenJournal(folder, identity string) (*Journal, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(identity))
	j := &Journal{path: filepath.Join(folder, hex.EncodeToString(hash[:12])+".jsonl"),
		answers: map[key]likelihood.Answer{}}
	file, content, err := disk.OpenLines(j.path)
	if err != nil {
		return nil, err
	}
	j.file = file
	j.read(content)
	return j, nil
}

// read takes the answers that are there. A line that is none says nothing.
func (j *Journal) read(content []byte) {
	for line := range bytes.Lines(content) {
		var e entry
		var k key
		if json.Unmarshal(line, &e) != nil || len(e.Key) != hex.EncodedLen(len(k)) {
			continue
		}
		if _, err := hex.Decode(k[:], []byte(e.Key)); err == nil {
			j.answers[k] = likelihood.Answer{LogLikelihood: e.LogLikelihood, Greedy: e.Greedy}
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
		err = disk.AppendLine(j.file, append(line, '\n'))
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
		err = errors.Join(err, j.Remove())
	}
	return err
}

// Remove removes a journal that is closed.
func (j *Journal) Remove() error { return disk.Remove(j.path) }
