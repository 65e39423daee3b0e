package measure

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/stage/plan"
	"steplm/stage/recipe"
)

// compare prints what every method has room for, beside what the process takes of the limit.
func (c *PlanCmd) compare(o recipe.Options, overhead int64) error {
	if c.MemoryLimit == 0 {
		return flags.Usagef("--compare needs --memory-limit")
	}
	all, err := plan.Compare(o, int64(c.MemoryLimit), overhead)
	if err != nil {
		return err
	}
	if c.JSON {
		return view.JSON(all)
	}
	printComparison(os.Stdout, all)
	return nil
}

func printComparison(w io.Writer, c plan.Comparison) {
	within := gpu.Bytes(c.Limit)
	if c.Overhead > 0 {
		within += fmt.Sprintf(", of which %s are the process's own", gpu.Bytes(c.Overhead))
	}
	fmt.Fprintf(w, "What fits into %s: windows of %d tokens of this model in a micro-batch, and the largest preset\n\n",
		within, c.SeqLen)
	rows := [][]string{{"", "optimizer", "split", "one window", "batch", "takes", "largest"}}
	var refused []string
	for _, r := range c.Rows {
		if r.Refused != "" {
			refused = append(refused, fmt.Sprintf("%s with %s: %s", r.Method, r.Optimizer, r.Refused))
			continue
		}
		split, takes, largest := "-", "-", "-"
		if r.Split != nil {
			split = strings.Trim(strings.ReplaceAll(fmt.Sprint(r.Split), " ", ","), "[]")
		}
		if r.Batch > 0 {
			takes = gpu.Bytes(r.PeakBytes)
		}
		if r.Model != "" {
			largest = r.Model
		}
		rows = append(rows, []string{r.Method, r.Optimizer, split, gpu.Bytes(r.OneBytes), strconv.Itoa(r.Batch), takes,
			largest})
	}
	view.Table(w, 2, rows)
	for _, text := range refused {
		fmt.Fprintf(w, "\n%s\n", text)
	}
}
