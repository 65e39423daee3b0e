package train

import (
	"fmt"
	"io"

	"steplm/cmd/steplm/internal/view"
)

// writeSpeed prints how fast each stage's steps were that this process ran, on average,
// and what share of the rate of the device's products at their best that is (MFU),
// where tuning has measured it.
func writeSpeed(w io.Writer, res *result) {
	rows := [][]string{{"", "steps", "s/step", "tokens/s", "GFLOP/step", "GFLOP/s", "MFU"}}
	for i := range res.steps {
		if res.steps[i] == 0 {
			continue // an earlier process ran it
		}
		seconds := res.seconds[i] / float64(res.steps[i])
		flops := res.flops[i] / float64(res.steps[i])
		rows = append(rows, []string{fmt.Sprintf("stage %d", i+1), fmt.Sprint(res.steps[i]), view.Figure(seconds),
			view.Figure(res.rate(i)), view.Figure(flops / 1e9),
			view.Figure(flops / seconds / 1e9), view.PerCent(view.Ratio(flops/seconds, res.peak))})
	}
	if len(rows) == 1 {
		return
	}
	fmt.Fprintf(w, "\nSpeed\n\n")
	view.Table(w, 1, rows)
	if res.depends {
		fmt.Fprintf(w, "inside documents: %.3g floating point operations in these steps, what is recomputed aside\n",
			res.counted)
	}
	if res.peak > 0 {
		fmt.Fprintf(w, "MFU is of %s GFLOP/s, the rate of the device's products at their best when it was tuned\n",
			view.Figure(res.peak/1e9))
	}
}
