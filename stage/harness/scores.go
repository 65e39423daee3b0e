package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"steplm/internal/disk"
	"steplm/stage/eval"
)

// ScoresFile is the file of a run's folder that has what its final model scored.
const ScoresFile = "scores.json"

// Scores are what a model came to in a whole evaluation.
type Scores struct {
	Model        string          `json:"model"`
	Device       string          `json:"device"`
	Perplexities []eval.Result   `json:"perplexities"`
	Tasks        json.RawMessage `json:"tasks"` // in the layout of the harness's files of results
	// Cut are the requests of each task that were longer than the context and lost their beginning.
	Cut map[string]int `json:"cut,omitempty"`
	// LeftOut are the documents of each task that were not asked: one of their choices is longer than the context.
	LeftOut map[string]int `json:"left_out,omitempty"`
}

// Write writes them into a folder.
func (s Scores) Write(folder string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return disk.WriteFile(filepath.Join(folder, ScoresFile), append(text, '\n'))
}

// ReadScores reads what a folder has; ok is false where it has none.
func ReadScores(folder string) (s Scores, ok bool, err error) {
	path := filepath.Join(folder, ScoresFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err == nil {
		if err = json.Unmarshal(text, &s); err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
	}
	return s, err == nil, err
}

// Score is a number of a table.
type Score struct {
	Task, Metric  string
	Value, StdErr float64 // NaN: there is no error
	Chance        float64 // of accuracies; NaN: none
	Documents     int     // that were asked; 0: not known, as of the next two
	Shots         int
	Context       int // positions of a context, at most
}

// Table lists the scores of tasks, and the perplexities, in their order.
func (s Scores) Table() (list []Score, err error) {
	nan := math.NaN()
	for _, r := range s.Perplexities {
		list = append(list, Score{r.Task, "perplexity per " + r.Protocol.Unit, r.Perplexity(), nan, nan, 0, 0, 0})
	}
	if s.Tasks == nil {
		return list, nil
	}
	var layout struct {
		Results object             `json:"results"`
		Chance  map[string]float64 `json:"chance"`
		Shots   map[string]int     `json:"n-shot"`
		Counts  map[string]struct {
			Effective int `json:"effective"`
		} `json:"n-samples"`
		Context int `json:"max_length"`
	}
	if err := json.Unmarshal(s.Tasks, &layout); err != nil {
		return nil, err
	}
	for _, task := range layout.Results {
		result, err := parseObject(task.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", task.name, err)
		}
		for _, f := range result {
			metric, is := strings.CutSuffix(f.name, ",none")
			var value float64
			if !is || strings.HasSuffix(metric, "_stderr") || json.Unmarshal(f.value, &value) != nil {
				continue
			}
			score := Score{task.name, metric, value, nan, nan, layout.Counts[task.name].Effective,
				layout.Shots[task.name], layout.Context}
			var stderr float64
			if json.Unmarshal(result.find(metric+"_stderr,none"), &stderr) == nil {
				score.StdErr = stderr
			}
			if chance, ok := layout.Chance[task.name]; ok {
				score.Chance = chance
			}
			list = append(list, score)
		}
	}
	return list, nil
}

// UnmarshalJSON keeps the order of fields.
func (o *object) UnmarshalJSON(text []byte) (err error) {
	*o, err = parseObject(text)
	return err
}
