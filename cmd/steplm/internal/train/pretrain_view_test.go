package train

import (
	"testing"

	"steplm/stage/recipe"
	"steplm/stage/record"
)

// unprinted is an event that a view prints nothing of.
type unprinted struct{ record.At }

func (unprinted) Kind() string { return "none that is printed" }

// Events that come more often than plain lines do not begin the wait for the
// next line anew.
func TestViewKeepsTheBarAcrossEvents(t *testing.T) {
	v := newRunView(false, "runs/x", recipe.Recipe{Stages: []recipe.Stage{{Steps: 3}}}, &result{})
	metrics := record.Metrics{Step: 1, Stage: 1, TokensPerSecond: 1}
	v.step(metrics)
	bar := v.bar
	v.event(unprinted{})
	if metrics.Step = 2; bar == nil || v.bar != bar {
		t.Error("the training bar was begun anew after an event")
	}
	v.step(metrics)
	if metrics.Step = 3; v.bar.At() != 2 {
		t.Errorf("the bar is at step %d, want 2", v.bar.At())
	}
	if v.step(metrics); v.bar != nil {
		t.Error("the training bar outlives the last step")
	}
}
