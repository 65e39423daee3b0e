package eval

import "testing"

// The best is the lowest loss, of the last set that has one per token; evaluations that are no better are counted from
// there.
func TestBest(t *testing.T) {
	of := func(task string, nats float64) Result {
		return Result{Task: task, Metrics: map[string]Metric{"nll": {Value: nats}, tokensMetric: count(10)}}
	}
	words := of("wikitext", 1)
	words.Protocol.Unit = "word"
	var b Best
	for step, c := range []struct {
		results []Result
		want    Best
	}{
		{nil, Best{}},
		{[]Result{of("a", 2), of("b", 9)}, Best{Step: 1, Set: "b"}},
		{[]Result{of("a", 1), of("b", 9), words}, Best{Step: 1, Set: "b", Since: 1}},
		{[]Result{of("b", 10), {Task: "c"}}, Best{Step: 1, Set: "b", Since: 2}},
		{[]Result{of("b", 8)}, Best{Step: 4, Set: "b"}},
	} {
		b.Judge(step, c.results)
		got := b
		got.Loss = 0
		if got != c.want {
			t.Errorf("after step %d: %+v, want %+v", step, b, c.want)
		}
	}
	if b.Loss != 0.8 {
		t.Errorf("the lowest loss is %g, want 0.8", b.Loss)
	}
	// Losses of two sets are not compared, as where an earlier version went by another one.
	if b.Judge(9, []Result{of("c", 9)}); b.Step != 9 || b.Set != "c" || b.Since != 0 {
		t.Errorf("another set: %+v", b)
	}
}
