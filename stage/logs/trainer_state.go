package logs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"steplm/internal/disk"
	"steplm/stage/record"
)

// trainerStateFile is what transformers' TrainerState.load_from_json reads.
const trainerStateFile = "trainer_state.json"

// trainerState is that file, in the order of its keys. What is null is not known here: an epoch is not, since a run
// goes by steps.
type trainerState struct {
	BestGlobalStep      *int           `json:"best_global_step"`
	BestMetric          *float64       `json:"best_metric"`
	BestModelCheckpoint *string        `json:"best_model_checkpoint"`
	Epoch               *float64       `json:"epoch"`
	EvalSteps           int            `json:"eval_steps"`
	GlobalStep          int            `json:"global_step"`
	IsHyperParamSearch  bool           `json:"is_hyper_param_search"`
	IsLocalProcessZero  bool           `json:"is_local_process_zero"`
	IsWorldProcessZero  bool           `json:"is_world_process_zero"`
	LogHistory          []struct{}     `json:"log_history"` // logHistory puts the entries there
	LoggingSteps        int            `json:"logging_steps"`
	MaxSteps            int            `json:"max_steps"`
	NumInputTokensSeen  int64          `json:"num_input_tokens_seen"`
	NumTrainEpochs      int            `json:"num_train_epochs"`
	SaveSteps           int            `json:"save_steps"`
	StatefulCallbacks   map[string]any `json:"stateful_callbacks"`
	TotalFLOPs          float64        `json:"total_flos"`
	TrainBatchSize      int            `json:"train_batch_size"`
	TrialName           *string        `json:"trial_name"`
	TrialParams         *struct{}      `json:"trial_params"`
}

type trainerStateSink struct {
	run   Run
	state trainerState
}

func beginTrainerState(r Run) (Sink, error) {
	return &trainerStateSink{r, trainerState{
		EvalSteps: r.EvalEvery, SaveSteps: r.SaveEvery, LoggingSteps: 1, MaxSteps: r.Steps, TrainBatchSize: r.Batch,
		IsLocalProcessZero: true, IsWorldProcessZero: true, LogHistory: []struct{}{},
		StatefulCallbacks: map[string]any{},
	}}, nil
}

func (s *trainerStateSink) Point(p Point) error {
	s.state.GlobalStep, s.state.TotalFLOPs = p.Step, p.FLOPs
	if m, ok := p.Event.(record.Metrics); ok {
		s.state.NumInputTokensSeen = m.Tokens
	}
	return nil
}

// Save writes the file whole. Its entries are read again from the metrics, so that none need be held.
func (s *trainerStateSink) Save() error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetIndent("", "  ")
	if err := e.Encode(s.state); err != nil {
		return err
	}
	const place = `"log_history": [`
	before, after, _ := strings.Cut(text.String(), place)
	return disk.Write(filepath.Join(s.run.Dir, trainerStateFile), func(f *os.File) error {
		w := bufio.NewWriter(f)
		w.WriteString(before + place)
		if err := s.logHistory(w); err != nil {
			return err
		}
		w.WriteString(after)
		return w.Flush()
	})
}

func (s *trainerStateSink) Close() error { return nil }

// logHistory writes the entries of steps and evaluations.
func (s *trainerStateSink) logHistory(w io.Writer) error {
	separator, end := "\n    ", ""
	for e, err := range record.Read(s.run.Dir) {
		if err != nil {
			return err
		}
		entry := map[string]any{"step": e.Moment().Step}
		switch e := e.(type) {
		case record.Metrics:
			entry["loss"], entry["grad_norm"], entry["learning_rate"] = e.Loss, e.GradNorm, e.LR
		case record.Evaluation:
			entry["eval_runtime"] = e.Seconds
			for _, v := range values(e) {
				entry[strings.ReplaceAll(v.Name, "/", "_")] = v.Value
			}
		default:
			continue
		}
		text, err := json.MarshalIndent(entry, "    ", "  ")
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s%s", separator, text); err != nil {
			return err
		}
		separator, end = ",\n    ", "\n  "
	}
	_, err := io.WriteString(w, end)
	return err
}
