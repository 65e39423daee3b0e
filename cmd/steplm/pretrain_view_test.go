package main

import (
	"testing"

	"steplm/stage"
	"steplm/stage/recipe"
)

// Events that come more often than plain lines do not begin the wait for the
// next line anew.
func TestViewKeepsTheBarAcrossEvents(t *testing.T) {
	v := newRunView(false, "runs/x", recipe.Recipe{Stages: []recipe.Stage{{Steps: 3}}}, &result{})
	metrics := stage.Metrics{Step: 1, Stage: 1, TokensPerSecond: 1}
	v.step(metrics)
	bar := v.bar
	v.event(stage.Event{Event: "none that is printed"})
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
