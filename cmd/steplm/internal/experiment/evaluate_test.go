package experiment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"steplm/stage"
	"steplm/stage/experiment"
	"steplm/stage/record"
	"steplm/stage/results"
)

// An accuracy of 0, which small models have in last words, is a number; what was not asked is a dash, and no line where
// it is all.
func TestAccuraciesOfZero(t *testing.T) {
	score := func(variant, task string, value, chance float64) results.Task {
		return results.Task{Variant: variant, Model: results.Trained, Task: task, Metric: "acc", Value: value,
			Chance: chance}
	}
	var out bytes.Buffer
	writeTasks(&out, []string{"a", "b", "c"}, []results.Task{score("a", "lambada_openai", 0, math.NaN()),
		score("a", "piqa", 0.25, 0.5), score("a", "piqa", 0.75, 0.5), score("b", "lambada_openai", 0, math.NaN())})
	var lines []string
	for line := range strings.Lines(out.String()) {
		if words := strings.Fields(line); len(words) > 0 {
			lines = append(lines, strings.Join(words, " "))
		}
	}
	if got, want := strings.Join(lines, "\n"), "accuracy model lambada_openai piqa\nchance - 0.500\n"+
		"a trained 0.000 0.500\nb trained 0.000 -"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// A model is asked when no other process has its run's folder, as that of an experiment that was killed has it until it
// is through with what it does.
func TestEvaluationWaitsForTheFolder(t *testing.T) {
	dir := t.TempDir()
	other, err := record.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	tell := &teller{out: json.NewEncoder(&bytes.Buffer{})}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := hold(ctx, dir, noLimit, tell); !errors.Is(err, stage.ErrStopped) {
		t.Errorf("told to stop, it says %v", err)
	}
	time.AfterFunc(2*heldAgain, func() { other.Close() })
	f, err := hold(t.Context(), dir, noLimit, tell)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := record.Lock(dir); !errors.Is(err, record.ErrHeld) {
		t.Errorf("the folder is not held: %v", err)
	}
	if _, err := hold(t.Context(), dir, time.Now(), tell); !errors.Is(err, record.ErrHeld) {
		t.Errorf("after as long as it may wait it says %v", err)
	}
	f.Close()
}

// Tasks are asked with the positions of the model that a run began with, whether it is asked too or not.
func TestPositionsDoNotFollowFromWhatIsAskedBefore(t *testing.T) {
	for _, before := range []bool{false, true} {
		ask := asked{Evaluate: &experiment.Evaluate{Before: before}}
		ask.Spec.Output.Out, ask.Spec.Model.Init = "run", "base"
		if got := strings.Join(ask.models(), " "); got != "run base" {
			t.Errorf("before %t: the models are %q", before, got)
		}
	}
}

// What is asked with shots may be asked without, and the other way round: neither is the other's content.
func TestShotsAreAnotherInput(t *testing.T) {
	dir, state := t.TempDir(), experiment.State{Inputs: map[string]string{}}
	for _, split := range []string{"train", "test"} {
		line := fmt.Sprintf(`{"query": "the %s", "choices": ["a", "b"], "gold": 0}`+"\n", split)
		if err := os.WriteFile(filepath.Join(dir, "openbookqa_"+split+".jsonl"), []byte(line), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(shots int) error {
		inputs, err := askedOf(t.Context(), experiment.File{Evaluate: &experiment.Evaluate{Tasks: &experiment.Tasks{
			Names: []string{"openbookqa"}, Data: dir, Shots: shots}}}, state.Inputs)
		if err != nil {
			t.Fatal(err)
		}
		return state.Same(dir, inputs)
	}
	for _, shots := range []int{0, 1, 0, 2} {
		if err := ask(shots); err != nil {
			t.Errorf("%d shots: %v", shots, err)
		}
	}
	other := []byte(`{"query": "another", "choices": ["a", "b"], "gold": 1}` + "\n")
	if err := os.WriteFile(filepath.Join(dir, "openbookqa_train.jsonl"), other, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := ask(1); err == nil || !strings.Contains(err.Error(), "another task openbookqa") {
		t.Errorf("other shots are taken: %v", err)
	}
}

// Labels that lie beside a task's rows are its content too, and what cannot be asked is told before anything is
// trained. A folder that an earlier version began knows its rows alone, and goes on.
func TestLabelsAreAnInput(t *testing.T) {
	dir, state := t.TempDir(), experiment.State{Inputs: map[string]string{}}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ask := func() (map[string]string, error) {
		return askedOf(t.Context(), experiment.File{Evaluate: &experiment.Evaluate{Tasks: &experiment.Tasks{
			Names: []string{"piqa"}, Data: dir}}}, state.Inputs)
	}
	write("piqa_valid.jsonl", `{"goal": "g", "sol1": "a", "sol2": "b"}`+"\n")
	if _, err := ask(); err == nil || !strings.Contains(err.Error(), "piqa_valid.jsonl:1") {
		t.Errorf("without labels it is no error that %v", err)
	}
	write("piqa_valid-labels.lst", "1\n")
	inputs, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	state.Inputs["task piqa"] = inputs["task piqa"]
	if err := state.Same(dir, inputs); err != nil {
		t.Errorf("what an earlier version began does not go on: %v", err)
	}
	write("piqa_valid-labels.lst", "0\n")
	if inputs, err = ask(); err != nil {
		t.Fatal(err)
	}
	if err := state.Same(dir, inputs); err == nil || !strings.Contains(err.Error(), "another labels of task piqa") {
		t.Errorf("other labels are taken: %v", err)
	}
}
