package mtbench

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Question is one of MT-Bench's.
type Question struct {
	ID       int      `json:"question_id"`
	Category string   `json:"category"`
	Turns    []string `json:"turns"`
}

// ReadQuestions reads a question.jsonl. Each question has an id of its own, a category and a turn at least; an error
// names the line.
func ReadQuestions(path string) (list []Question, err error) {
	lines := map[int]int{}
	err = eachLine(path, func(n int, text []byte) error {
		var q struct {
			Question
			ID *int `json:"question_id"`
		}
		if err := json.Unmarshal(text, &q); err != nil {
			return err
		}
		switch {
		case q.ID == nil:
			return errors.New("a question without question_id")
		case q.Category == "":
			return fmt.Errorf("question %d has no category", *q.ID)
		case len(q.Turns) == 0:
			return fmt.Errorf("question %d has no turns", *q.ID)
		case lines[*q.ID] > 0:
			return fmt.Errorf("question %d is on line %d already", *q.ID, lines[*q.ID])
		}
		lines[*q.ID] = n
		q.Question.ID = *q.ID
		list = append(list, q.Question)
		return nil
	})
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%s has no questions", path)
	}
	return list, err
}

// Identity is a hash of what questions ask, whatever file they are from.
func Identity(list []Question) (string, error) {
	text, err := json.Marshal(list)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), err
}

// Categories are those of questions, in their order.
func Categories(list []Question) (names []string) {
	for _, q := range list {
		if !slices.Contains(names, q.Category) {
			names = append(names, q.Category)
		}
	}
	return names
}

// temperatures are those at which FastChat has categories answered; those of others are otherTemperature.
var temperatures = map[string]float64{"writing": 0.7, "roleplay": 0.7, "extraction": 0, "math": 0, "coding": 0,
	"reasoning": 0, "stem": 0.1, "humanities": 0.1}

const otherTemperature = 0.7

// Temperature is the one at which the question is answered; 0 takes the likeliest token.
func (q Question) Temperature() float64 {
	if t, known := temperatures[q.Category]; known {
		return t
	}
	return otherTemperature
}

// referenced are the categories that are judged beside a reference answer.
var referenced = []string{"math", "reasoning", "coding", "arena-hard-200"}

// NeedsReference reports whether its answers are judged beside a reference answer.
func (q Question) NeedsReference() bool { return slices.Contains(referenced, q.Category) }
