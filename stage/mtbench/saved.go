package mtbench

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"steplm/internal/disk"
)

// ScoresFile keeps the scores of a run's model in the run's folder.
const ScoresFile = "mtbench.json"

// Save writes scores, of one model, into a run's folder.
func (s Scores) Save(run string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return disk.WriteFile(filepath.Join(run, ScoresFile), append(text, '\n'))
}

// ReadScores reads what Save wrote; false: the run has no scores.
func ReadScores(run string) (s Scores, there bool, err error) {
	path := filepath.Join(run, ScoresFile)
	text, err := os.ReadFile(path)
	if disk.Missing(err) {
		return s, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err == nil && len(s.Models) != 1 {
		err = fmt.Errorf("the scores are of %d models, a run has one", len(s.Models))
	}
	if err != nil {
		return s, false, fmt.Errorf("%s: %w", path, err)
	}
	return s, true, nil
}
