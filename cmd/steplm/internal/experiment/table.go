package experiment

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"

	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/stage/experiment"
	"steplm/stage/harness"
	"steplm/stage/results"
)

// warn prints a warning above what is shown of the whole.
func warn(text string) { view.Print(os.Stderr, fmt.Sprintln("steplm: warning:", text)) }

// table prints what came out, a line a variant: means over the seeds that are done, and what choosing its learning
// rate took.
func table(w io.Writer, f *experiment.Folder, rows []experiment.VariantRows) {
	lines := [][]string{{"", "lr", "runs", "validation", "spread", "wikitext", "train loss", "peak", "states", "tokens",
		"FLOPs", "choosing: tokens", "FLOPs"}}
	for i, v := range f.Variants {
		trials, finals := rows[i].Trials, rows[i].Finals
		line := []string{v.Label}
		var done []results.Row
		for _, r := range finals {
			if r.Status == results.Done {
				done = append(done, r)
			}
		}
		lr := "-"
		if len(finals) > 0 && len(finals[0].LR) > 0 {
			lr = strconv.FormatFloat(finals[0].LR[0], 'g', -1, 64)
		}
		mean := func(of func(results.Row) float64) (m, spread float64) {
			least, most := math.Inf(1), math.Inf(-1)
			for _, r := range done {
				m += of(r) / float64(len(done))
				least, most = min(least, of(r)), max(most, of(r))
			}
			return m, most - least
		}
		line = append(line, lr, fmt.Sprintf("%d/%d", len(done), len(finals)))
		validation, spread := mean(func(r results.Row) float64 { return r.ValidationPerplexity })
		wikitext, _ := mean(func(r results.Row) float64 { return r.WikitextWordPerplexity })
		loss, _ := mean(func(r results.Row) float64 { return r.TrainLoss })
		flops, _ := mean(func(r results.Row) float64 { return r.FLOPs })
		var one results.Row
		if len(done) > 0 {
			one = done[0]
		}
		var trialTokens int64
		var trialFLOPs float64
		for _, r := range trials {
			trialTokens, trialFLOPs = trialTokens+r.Tokens, trialFLOPs+r.FLOPs
		}
		bytes := func(n int64) string {
			if n == 0 {
				return "-"
			}
			return gpu.Bytes(n)
		}
		lines = append(lines, append(line, figure(validation, "%.2f"), figure(spread, "%.2f"),
			figure(wikitext, "%.0f"), figure(loss, "%.4f"), bytes(one.PeakBytes), bytes(one.StateBytes),
			view.Count(one.Tokens), figure(flops, "%.3g"), view.Count(trialTokens), figure(trialFLOPs, "%.3g")))
	}
	view.Table(w, 1, lines)
}

// figure is a number, "-" where there is none.
func figure(x float64, format string) string {
	if math.IsNaN(x) || math.IsInf(x, 0) || cmp.Compare(x, 0) == 0 {
		return "-"
	}
	return fmt.Sprintf(format, x)
}

// tasksTable prints what models scored in tasks, if they were asked.
func tasksTable(w io.Writer, f *experiment.Folder) error {
	list, err := f.Tasks()
	if err != nil || len(list) == 0 {
		return err
	}
	var labels []string
	for _, v := range f.Variants {
		labels = append(labels, v.Label)
	}
	writeTasks(w, labels, list)
	return nil
}

// writeTasks prints scores: a line a variant, of the accuracies' means over seeds, and of the models before.
func writeTasks(w io.Writer, labels []string, list []results.Task) {
	accuracy := func(x float64) string {
		if math.IsNaN(x) {
			return "-"
		}
		return fmt.Sprintf("%.3f", x)
	}
	type at struct{ variant, model, column string }
	head := []string{"accuracy", "model"}
	chance := []string{"chance", ""}
	sums, counts := map[at]float64{}, map[at]int{}
	for _, t := range list {
		if t.Metric != harness.Accuracy {
			continue
		}
		if !slices.Contains(head, t.Task) {
			head, chance = append(head, t.Task), append(chance, accuracy(t.Chance))
		}
		x := at{t.Variant, t.Model, t.Task}
		sums[x] += t.Value
		counts[x]++
	}
	lines := [][]string{head, chance}
	for _, label := range labels {
		for _, model := range []string{results.Before, results.Trained} {
			line, some := []string{label, model}, false
			for _, task := range head[2:] {
				x := at{label, model, task}
				some = some || counts[x] > 0
				line = append(line, accuracy(sums[x]/float64(counts[x])))
			}
			if some {
				lines = append(lines, line)
			}
		}
	}
	fmt.Fprintln(w)
	view.Table(w, 2, lines)
}
