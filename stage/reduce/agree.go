package reduce

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
)

// Fact is something that must be the same in every process: what it is called, and a value or a hash of it.
type Fact struct{ Name, Value string }

// Disagreement is a fact in which processes differ.
type Disagreement struct {
	Fact   string
	Ranks  []string // those in which it is another than in most
	Others string   // what most have
	Theirs string   // what the first of Ranks has
}

func (e *Disagreement) Error() string {
	return fmt.Sprintf("%s: another %s than in the other processes (%.64s, where they have %.64s)", listed(e.Ranks),
		e.Fact, e.Theirs, e.Others)
}

// Agree compares facts over all processes. Where they differ, every process gets the same Disagreement.
func (r *Reducer) Agree(facts []Fact) error {
	if r.Size() == 1 {
		return nil
	}
	text, err := json.Marshal(facts)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	hashes, err := r.gather(sum[:])
	if err != nil {
		return err
	}
	same := true
	for _, h := range hashes {
		same = same && bytes.Equal(h, hashes[0])
	}
	if same {
		return nil
	}
	texts, err := r.gatherTexts(text)
	if err != nil {
		return err
	}
	return r.differing(texts)
}

// gatherTexts is a text of each rank, of any length.
func (r *Reducer) gatherTexts(text []byte) ([][]byte, error) {
	lengths, err := r.gather(bytesOf([]int64{int64(len(text))}))
	if err != nil {
		return nil, err
	}
	longest := int64(0)
	for _, l := range lengths {
		longest = max(longest, valuesOf[int64](l)[0])
	}
	padded := make([]byte, longest)
	copy(padded, text)
	texts, err := r.gather(padded)
	for i := range texts {
		texts[i] = texts[i][:valuesOf[int64](lengths[i])[0]]
	}
	return texts, err
}

// Elsewhere is an error of another process, which tells it.
type Elsewhere struct{ Rank, Text string }

func (e *Elsewhere) Error() string { return e.Rank + ": " + e.Text }

// Together has every process learn of an error that any of them has, so that what all begin none goes on with: a
// process that has one gets it back, the others get an Elsewhere of the lowest rank's.
func (r *Reducer) Together(err error) error {
	if r.Size() == 1 {
		return err
	}
	text := ""
	if err != nil {
		text = cmp.Or(err.Error(), "an error without words")
	}
	texts, lost := r.gatherTexts([]byte(text))
	if err != nil || lost != nil {
		return errors.Join(err, lost)
	}
	for rank, text := range texts {
		if len(text) > 0 {
			return &Elsewhere{r.Name(rank), string(text)}
		}
	}
	return nil
}

// FromLead is the text of the process that leads, in all of them.
func (r *Reducer) FromLead(text string) (string, error) {
	if r.Size() == 1 {
		return text, nil
	}
	texts, err := r.gatherTexts([]byte(text))
	if err != nil {
		return "", err
	}
	return string(texts[0]), nil
}

// differing finds the first fact that is not the same in all ranks.
func (r *Reducer) differing(texts [][]byte) error {
	lists := make([][]Fact, len(texts))
	most := 0
	for i, text := range texts {
		if err := json.Unmarshal(text, &lists[i]); err != nil {
			return fmt.Errorf("what %s says cannot be read: %w", r.Name(i), err)
		}
		most = max(most, len(lists[i]))
	}
	for at := range most {
		values, count := make([]Fact, len(lists)), map[Fact]int{}
		for rank, list := range lists {
			if at < len(list) {
				values[rank] = list[at]
			}
			count[values[rank]]++
		}
		if len(count) == 1 {
			continue
		}
		usual := values[0] // of as many, that of the lowest rank
		for _, v := range values {
			if count[v] > count[usual] {
				usual = v
			}
		}
		e := &Disagreement{Fact: usual.Name, Others: usual.Value}
		for rank, v := range values {
			if v != usual {
				if e.Ranks == nil {
					e.Theirs = v.Value
				}
				e.Ranks = append(e.Ranks, r.Name(rank))
			}
		}
		return e
	}
	return fmt.Errorf("the processes differ, and say the same")
}
