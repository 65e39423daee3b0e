package bench

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"steplm/cmd/steplm/internal/processes"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/internal/clock"
	"steplm/stage/reduce"
)

// benchReduceCmd times sums over processes.
type benchReduceCmd struct {
	Values []int  `default:"1024,16384,262144,4194304,16777216" placeholder:"N" range:"1..1e9" help:"Values that are summed at once, one number or several. Default: ${default}."`
	Wire   string `default:"f32" enum:"f32,bf16" help:"Type on the wire: ${enum}. Default: ${default}."`
	Rounds int    `default:"10" placeholder:"N" range:"1..1e6" help:"Timings of each. Default: ${default}."`
	JSON   bool   `help:"Print JSON."`
}

// reduceBench is what sums over processes take.
type reduceBench struct {
	Processes int            `json:"processes"`
	Library   string         `json:"library"`
	Wire      string         `json:"wire"`
	Sums      []reduceTiming `json:"sums"`
	reduce.Link
}

// reduceTiming is of sums of as many values.
type reduceTiming struct {
	Values      int     `json:"values"`
	Sent        int64   `json:"sent_bytes"` // by each process
	Seconds     float64 `json:"seconds"`    // median
	GBPerSecond float64 `json:"gb_per_second"`
}

func (c *benchReduceCmd) Run(ctx context.Context) error {
	m, err := processes.Join()
	if err != nil {
		return err
	}
	if m == nil || m.Size() == 1 {
		return fmt.Errorf("sums over processes need two at least: mpirun -n 2 steplm bench reduce")
	}
	b, err := c.measure(ctx, m)
	if err != nil {
		return processes.Among(m, err)
	}
	if err := m.Close(); err != nil || m.Rank() > 0 {
		return processes.Among(m, err)
	}
	return showBench(c.JSON, b)
}

func (c *benchReduceCmd) measure(ctx context.Context, m *reduce.MPI) (reduceBench, error) {
	r := reduce.New(m, reduce.Options{Wire: reduce.Wire(c.Wire)})
	b := reduceBench{Processes: m.Size(), Library: m.String(), Wire: c.Wire}
	// What a message costs: a count of each, of which every process gets those of all others.
	short, err := c.median(ctx, func() error { return r.Sum([]int64{1}) })
	if err != nil {
		return b, err
	}
	b.Latency = short / float64(m.Size()-1)
	for _, n := range c.Values {
		values := make([]float32, n)
		before := r.Sent()
		if err := r.Values(values); err != nil { // Memory that is touched for the first time is slow.
			return b, err
		}
		t := reduceTiming{Values: n, Sent: r.Sent() - before}
		if t.Seconds, err = c.median(ctx, func() error { return r.Values(values) }); err != nil {
			return b, err
		}
		t.GBPerSecond = float64(t.Sent) / t.Seconds / 1e9
		b.Bandwidth = max(b.Bandwidth, float64(t.Sent)/t.Seconds)
		b.Sums = append(b.Sums, t)
	}
	return b, nil
}

// median is the seconds that something takes.
func (c *benchReduceCmd) median(ctx context.Context, do func() error) (float64, error) {
	var list []float64
	for range c.Rounds {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		start := clock.Now()
		if err := do(); err != nil {
			return 0, err
		}
		list = append(list, clock.Since(start).Seconds())
	}
	slices.Sort(list)
	return list[len(list)/2], nil
}

func (b reduceBench) print(w io.Writer) {
	fmt.Fprintf(w, "%d processes by %s, %s on the wire\n\n", b.Processes, b.Library, b.Wire)
	rows := [][]string{{"values", "each sends", "seconds", "GB/s"}}
	for _, t := range b.Sums {
		rows = append(rows, []string{view.Count(int64(t.Values)), gpu.Bytes(t.Sent), fmt.Sprintf("%.3g", t.Seconds),
			fmt.Sprintf("%.3g", t.GBPerSecond)})
	}
	view.Table(w, 1, rows)
	fmt.Fprintf(w, "\na message costs %v; at best each process sends %.3g Gbit/s, adding included: "+
		"plan --processes %d --latency %.3g --bandwidth %.3g\n",
		time.Duration(b.Latency*1e9).Round(100*time.Nanosecond),
		8*b.Bandwidth/1e9, b.Processes, b.Latency*1e6, 8*b.Bandwidth/1e9)
}
