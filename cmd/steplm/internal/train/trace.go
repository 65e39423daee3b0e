package train

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"steplm/cmd/steplm/internal/chart"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/stage"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// TraceFlags say whether a run is traced.
type TraceFlags struct {
	Trace      string `placeholder:"FILE" help:"Trace some steps of each stage: write what the device and the CPU did, as Perfetto and chrome://tracing show it, and print the time by kernel."`
	TraceSteps int    `default:"3" placeholder:"N" help:"Steps of each stage that are traced, after its first. Default: ${default}."`
}

// tracer traces the steps that its flags ask for; nil traces nothing.
type tracer struct {
	TraceFlags
	trace  *gpu.Trace
	recipe recipe.Recipe
	seen   map[int]int // steps by stage, from 1 on, of this process
	failed error
}

// open opens the device, to be traced where the flags say so. A file that cannot be
// written is found here, not at the end of the run.
func (f TraceFlags) open(d flags.DeviceFlag) (gpu.Device, *tracer, error) {
	if f.Trace == "" {
		dev, err := d.Open()
		return dev, nil, err
	}
	if f.TraceSteps < 1 {
		return nil, nil, flags.Usagef("--trace-steps %d: it must be 1 or more", f.TraceSteps)
	}
	if at, err := os.Stat(filepath.Dir(f.Trace)); err != nil || !at.IsDir() {
		return nil, nil, fmt.Errorf("--trace %s: %s is no directory", f.Trace, filepath.Dir(f.Trace))
	}
	if at, err := os.Stat(f.Trace); err == nil && !at.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("--trace %s: that is no file", f.Trace)
	}
	t := &tracer{TraceFlags: f, seen: map[int]int{}}
	dev, err := d.Paced(func() (dev gpu.Device, err error) {
		choice, err := d.Choice()
		if err == nil {
			dev, t.trace, err = gpu.OpenTraced(choice)
		}
		return dev, err
	})
	return dev, t, err
}

// watch lets the tracer hear of steps before a report does.
func (t *tracer) watch(r recipe.Recipe, report stage.Report) stage.Report {
	if t == nil {
		return report
	}
	t.recipe = r
	step := report.Step
	report.Step = func(m record.Metrics) {
		t.step(m)
		step(m)
	}
	return report
}

// Step begins after a stage's first step, which compiles its kernels, and ends
// after the last that is asked for, or before the evaluation that ends the stage.
func (t *tracer) step(m record.Metrics) {
	t.seen[m.Stage]++
	next, _ := t.recipe.StageOf(m.Step)
	last := m.Step == t.recipe.Steps() || next+1 != m.Stage
	switch n := t.seen[m.Stage]; {
	case last || n == 1+t.TraceSteps:
		t.trace.Stop()
	case n == 1:
		t.failed = cmp.Or(t.failed, t.trace.Start())
	}
}

// Finish writes the file, if there is something to write, and prints the table
// unless the output is JSON. It returns the run's error, or one of its own.
func (t *tracer) finish(json bool, w io.Writer, dev gpu.Device, err error) error {
	if t == nil {
		return err
	}
	t.trace.Stop()
	spans := t.trace.Spans()
	if err = cmp.Or(err, t.failed); len(spans) == 0 {
		if err == nil {
			fmt.Fprintf(os.Stderr,
				"steplm: warning: --trace %s: nothing was traced or written, for no stage got to a second step here\n",
				t.Trace)
		}
		return err
	}
	if e := chart.Save(t.Trace, func(w io.Writer) error {
		return writeTrace(w, dev.Name(), t.trace.Clock(),
			spans)
	}); e != nil {
		return cmp.Or(err, e)
	}
	if !json {
		writeKernels(w, spans)
		fmt.Fprintf(w, "dispatches are timed by %s\nthe trace of %s is in %s\n", t.trace.Clock(), t.steps(), t.Trace)
	}
	return err
}

// steps says how many steps were traced.
func (t *tracer) steps() string {
	var list []string
	for i := range t.recipe.Stages {
		if n := min(t.TraceSteps, t.seen[i+1]-1); n > 0 {
			list = append(list, fmt.Sprintf("stage %d (%s)", i+1, view.Plural(int64(n), "step", "steps")))
		}
	}
	return strings.Join(list, ", ")
}

// writeKernels prints the time of dispatches by kernel, the longest first.
func writeKernels(w io.Writer, spans []gpu.Span) {
	type sum struct {
		name  string
		calls int
		took  time.Duration
		work  float64
	}
	by := map[string]*sum{}
	all, submissions, cpu := sum{name: "all"}, 0, map[string]time.Duration{}
	for _, s := range spans {
		switch {
		case s.Track == gpu.Dispatches:
			k := by[s.Name]
			if k == nil {
				k = &sum{name: s.Name}
				by[s.Name] = k
			}
			for _, x := range []*sum{k, &all} {
				x.calls, x.took, x.work = x.calls+1, x.took+s.Duration, x.work+s.Work
			}
		case s.Track == gpu.Submissions:
			submissions++
		default: // "record train" counts as "record"
			kind, _, _ := strings.Cut(s.Name, " ")
			cpu[kind] += s.Duration
		}
	}
	var list []*sum
	for _, k := range by {
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b *sum) int {
		return cmp.Or(cmp.Compare(b.took, a.took),
			cmp.Compare(a.name, b.name))
	})
	rows := [][]string{{"kernel", "calls", "ms", "share", "GFLOP/s"}}
	for _, k := range append(list, &all) {
		rate := "-"
		if k.work > 0 && k.took > 0 {
			rate = fmt.Sprintf("%.2f", k.work/float64(k.took))
		}
		share := 0.0
		if all.took > 0 {
			share = 100 * float64(k.took) / float64(all.took)
		}
		rows = append(rows, []string{k.name, fmt.Sprint(k.calls), milliseconds(k.took), fmt.Sprintf("%.1f %%", share),
			rate})
	}
	fmt.Fprintf(w, "\nTime by kernel, while traced\n\n")
	view.Table(w, 1, rows)
	fmt.Fprintf(w,
		"\nGFLOP/s by the estimates that size submissions: operations of products, elsewhere two for each byte moved\n")
	fmt.Fprintf(w,
		"the CPU was in passes for %s ms; in them and elsewhere it spent %s ms on handing over %d submissions and %s "+
			"ms on waiting\n", milliseconds(cpu["record"]), milliseconds(cpu["submit"]), submissions, milliseconds(
			cpu["wait"]))
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/1e6) }

// traceEvent is one event of Chrome's trace format, which Perfetto reads too. Times
// are in microseconds.
type traceEvent struct {
	Name     string         `json:"name"`
	Phase    string         `json:"ph"`
	Start    float64        `json:"ts"`
	Duration float64        `json:"dur"`
	Process  int            `json:"pid"`
	Track    int            `json:"tid"`
	Args     map[string]any `json:"args,omitempty"`
}

// writeTrace writes spans as trace events, a track for each kind.
func writeTrace(w io.Writer, device, clock string, spans []gpu.Span) error {
	events := []traceEvent{{Name: "process_name", Phase: "M", Process: 1, Args: map[string]any{"name": device}}}
	for i, name := range []string{gpu.Dispatches: "dispatches", gpu.Submissions: "submissions", gpu.CPU: "CPU"} {
		events = append(events, traceEvent{Name: "thread_name", Phase: "M", Process: 1, Track: i + 1,
			Args: map[string]any{"name": name}})
	}
	for _, s := range spans {
		e := traceEvent{
			Name: s.Name, Phase: "X", Process: 1, Track: int(s.Track) + 1,
			Start: float64(s.Start) / 1e3, Duration: float64(s.Duration) / 1e3, Args: map[string]any{},
		}
		if s.Submission > 0 {
			e.Args["submission"] = s.Submission
		}
		if s.Track != gpu.CPU {
			e.Args["work"] = s.Work
			if s.Work > 0 && s.Duration > 0 {
				e.Args["GFLOP/s"] = s.Work / float64(s.Duration)
			}
		}
		if s.Track == gpu.Dispatches {
			e.Args["groups"], e.Args["pass"] = s.Groups, s.Pass
		}
		events = append(events, e)
	}
	return json.NewEncoder(w).Encode(map[string]any{
		"displayTimeUnit": "ms",
		"otherData":       map[string]string{"device": device, "dispatches timed by": clock},
		"traceEvents":     events,
	})
}
