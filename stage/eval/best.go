package eval

import "slices"

// Best is the lowest loss that a run has measured while it trains, and how long ago that was.
type Best struct {
	Step  int     `json:"step"`            // after which the model was so good; 0: nothing was measured
	Loss  float64 `json:"loss"`            // nats
	Set   string  `json:"set"`             // that it was measured on
	Since int     `json:"since,omitempty"` // evaluations that were no better
}

// Judge takes note of what an evaluation after a step found: of the last set that has losses per token, which is
// validation data where there is any, or else what is held out. A perplexity per word is of a text that only compares
// models, as WikiText's is.
func (b *Best) Judge(step int, results []Result) {
	for _, r := range slices.Backward(results) {
		loss, ok := r.Loss()
		if !ok || r.Protocol.Unit == unitWord {
			continue
		}
		if b.Step == 0 || r.Task != b.Set || loss < b.Loss { // Losses of two sets are not compared.
			*b = Best{Step: step, Loss: loss, Set: r.Task}
		} else {
			b.Since++
		}
		return
	}
}
