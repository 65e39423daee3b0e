package mtbench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"steplm/internal/disk"
)

// FailedAnswer is what FastChat writes where a model could not answer; it is judged like any other.
const FailedAnswer = "ERROR"

// Answer is a line of a file of answers.
type Answer struct {
	QuestionID int      `json:"question_id"`
	AnswerID   string   `json:"answer_id"`
	Model      string   `json:"model_id"`
	Choices    []Choice `json:"choices"`
	Time       Seconds  `json:"tstamp"`
}

// Choice is one of several answers to a question, of which only the first is judged.
type Choice struct {
	Index int      `json:"index"`
	Turns []string `json:"turns"`
}

// Turns are those that are judged.
func (a Answer) Turns() []string { return a.Choices[0].Turns }

// Answers is a file of answers.
type Answers struct {
	Path  string
	Model string // by the file's name
	Of    map[int]Answer
	// Repeated are questions that several lines answer, of which the last counts.
	Repeated []int
	// Half says that the last line was not written to its end; it is in none of the others.
	Half bool
}

// ModelOf is the model whose answers a file has: FastChat goes by its name.
func ModelOf(path string) string { return strings.TrimSuffix(filepath.Base(path), answersSuffix) }

const answersSuffix = ".jsonl"

// AnswerFiles are those of a folder, whatever it is called, that have answers by their names; none where it is missing.
func AnswerFiles(dir string) (list []string, err error) {
	entries, err := os.ReadDir(dir)
	if disk.Missing(err) {
		return nil, nil
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), answersSuffix) {
			list = append(list, filepath.Join(dir, e.Name()))
		}
	}
	return list, err
}

// ReadAnswers reads a file of answers. An error names the line.
func ReadAnswers(path string) (Answers, error) {
	a := Answers{Path: path, Model: ModelOf(path), Of: map[int]Answer{}}
	err := eachLine(path, func(_ int, text []byte) error {
		var line struct {
			Answer
			ID *int `json:"question_id"`
		}
		if err := json.Unmarshal(text, &line); err != nil {
			return err
		}
		switch {
		case line.ID == nil:
			return errors.New("an answer without question_id")
		case len(line.Choices) == 0 || len(line.Turns()) == 0:
			return fmt.Errorf("the answer to question %d has no turns", *line.ID)
		}
		if _, there := a.Of[*line.ID]; there && !slices.Contains(a.Repeated, *line.ID) {
			a.Repeated = append(a.Repeated, *line.ID)
		}
		line.QuestionID = *line.ID
		a.Of[*line.ID] = line.Answer
		return nil
	})
	if a.Half = errors.Is(err, errHalf); a.Half {
		err = nil
	}
	return a, err
}

// Missing are the questions of a list that have no answer of as many turns, and others those that have one and are not
// in the list.
func (a Answers) Missing(questions []Question) (missing, others []int) {
	asked := map[int]bool{}
	for _, q := range questions {
		asked[q.ID] = true
		if answer, there := a.Of[q.ID]; !there || len(answer.Turns()) < len(q.Turns) {
			missing = append(missing, q.ID)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(a.Of)) {
		if !asked[id] {
			others = append(others, id)
		}
	}
	return missing, others
}

// Sorted are the file's lines by question, each question once, as FastChat leaves a file that is complete.
func (a Answers) Sorted() (lines [][]byte, err error) {
	for _, id := range slices.Sorted(maps.Keys(a.Of)) {
		line, err := pythonJSON(a.Of[id])
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// Numbers lists ids as people read them: 81, 82, 83 and 7 more.
func Numbers(ids []int) string {
	const most = 8
	var words []string
	for _, id := range ids[:min(len(ids), most)] {
		words = append(words, strconv.Itoa(id))
	}
	text := strings.Join(words, ", ")
	if len(ids) > most {
		text += fmt.Sprintf(" and %d more", len(ids)-most)
	}
	return text
}

// Setup is how answers came about. FastChat's files have no place for it: it lies beside them.
type Setup struct {
	Model     string `json:"model"`    // where it was
	Template  string `json:"template"` // by which its prompts were made
	MaxTokens int    `json:"max_tokens"`
	Context   int    `json:"context"`
	Seed      uint64 `json:"seed"`
	// What cuts the distribution; 0: nothing does.
	TopK              int     `json:"top_k,omitempty"`
	TopP              float64 `json:"top_p,omitempty"`
	MinP              float64 `json:"min_p,omitempty"`
	RepetitionPenalty float64 `json:"repetition_penalty,omitempty"`
}

// setupPath is where the setup of a file of answers lies: NAME.json beside NAME.jsonl.
func setupPath(answers string) string { return strings.TrimSuffix(answers, answersSuffix) + ".json" }

// ReadSetup reads how a file of answers came about; false: nothing says so, as beside files of FastChat's own.
func ReadSetup(answers string) (s Setup, known bool, err error) {
	path := setupPath(answers)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		err = d.Decode(&s)
	}
	if err != nil {
		return s, false, fmt.Errorf("%s: %w", path, err)
	}
	return s, true, nil
}

// Write writes how a file of answers comes about.
func (s Setup) Write(answers string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return disk.WriteFile(setupPath(answers), append(text, '\n'))
}

// CopyAnswers copies a file of answers, with how they came about, over what another path has. A kill between the two
// leaves answers beside the setup of others: whoever copies does it again then.
func CopyAnswers(from, to string) error {
	for _, path := range []func(string) string{func(path string) string { return path }, setupPath} {
		content, err := disk.ReadFile(path(from))
		if err == nil {
			err = disk.WriteFile(path(to), content)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
