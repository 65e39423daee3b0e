package results

import (
	"encoding/csv"
	"io"
	"math"
	"strconv"
)

// Task is what a run's model scored in one metric of a downstream task.
type Task struct {
	Experiment string
	Run        string // the folder's name
	Model      string // one of Trained and Before
	Variant    string // its label
	Seed       uint64
	Task       string
	Metric     string
	Value      float64
	StdErr     float64 // NaN: there is none
	Chance     float64 // NaN: there is none
	Documents  int     // that were asked
	Shots      int
	Context    int // positions of a context, at most
	Cut        int // requests that were longer and lost their beginning
	LeftOut    int // documents that were not asked, since a choice is longer than a context
}

// Which model of a run.
const (
	Trained = "trained"
	Before  = "before" // with which it began
)

// taskColumns are the names of the table's columns. Other programs know them.
var taskColumns = []string{"experiment", "run", "model", "variant", "seed", "task", "metric", "value", "stderr",
	"chance", "documents", "shots", "context", "cut", "left_out"}

// WriteTasks writes them as CSV below a line of the columns' names; what is not known is empty.
func WriteTasks(w io.Writer, list []Task) error {
	out := csv.NewWriter(w)
	if err := out.Write(taskColumns); err != nil {
		return err
	}
	float := func(x float64) string {
		if math.IsNaN(x) {
			return ""
		}
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	for _, t := range list {
		if err := out.Write([]string{t.Experiment, t.Run, t.Model, t.Variant, strconv.FormatUint(t.Seed, 10), t.Task,
			t.Metric, float(t.Value), float(t.StdErr), float(t.Chance), strconv.Itoa(t.Documents),
			strconv.Itoa(t.Shots), strconv.Itoa(t.Context), strconv.Itoa(t.Cut), strconv.Itoa(t.LeftOut)}); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
