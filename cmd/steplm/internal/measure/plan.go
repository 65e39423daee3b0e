package measure

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"steplm/cmd/steplm/internal/chart"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/model"
	"steplm/stage/plan"
)

type PlanCmd struct {
	flags.ShapeFlags `embed:""`
	flags.OuterFlags `group:"Rounds"`
	SVG              flags.SVG `name:"svg" placeholder:"FILE" help:"Draw the plan into an SVG file too."`
	Compare          bool      `help:"With --memory-limit: the largest micro-batch, and the largest preset, that fit with every method and every optimizer as it was published."`
	Device           string    `placeholder:"DEVICE" help:"With --memory-limit, the device that it is for, as pretrain has it, or gpu for any GPU: on a CPU the process's own memory counts. Default: the one that pretrain takes."`
	planProcessFlags `group:"Processes"`
	JSON             bool `help:"Print JSON."`
}

func (c *PlanCmd) Run() error {
	o, err := flags.OptionsOf(c)
	if err != nil {
		return err
	}
	overhead := int64(0)
	if c.MemoryLimit > 0 {
		if overhead, err = flags.ProcessOverhead(c.Device); err != nil {
			return err
		}
	}
	if c.Compare {
		return c.compare(o, overhead)
	}
	var fitted *plan.Fitted
	if c.MemoryLimit > 0 {
		chosen, f, err := plan.FitPlan(o, int64(c.MemoryLimit), overhead)
		if err != nil {
			return err
		}
		o, fitted = chosen, &f
	}
	p, err := plan.Make(o)
	if err != nil {
		return err
	}
	p.Fitted = fitted
	if c.SVG != "" {
		if err := chart.SaveBars(string(c.SVG), planChart(p)); err != nil {
			return err
		}
	}
	among, err := c.planProcessFlags.plan(p)
	if err != nil {
		return err
	}
	if c.JSON {
		return view.JSON(struct {
			plan.Plan
			Processes *planProcesses `json:"processes,omitempty"`
		}{p, among})
	}
	if err := printPlan(os.Stdout, p); err != nil || among == nil {
		return err
	}
	among.print(os.Stdout)
	return nil
}

func printPlan(w io.Writer, p plan.Plan) error {
	c := p.Model
	head := "own head"
	if c.Tied {
		head = "head tied to the embedding"
	}
	fmt.Fprintf(w, "model   hidden %d, FFN %d, %s, %s (%d key-value), vocabulary %d, %s: %s parameters\n",
		c.Hidden, c.FFN, view.Plural(int64(c.Layers), "layer", "layers"),
		view.Plural(int64(c.Heads), "head", "heads"), c.KVHeads, c.Vocab, head, view.Count(p.Parameters))
	fmt.Fprintf(w, "memory  %s\n", DescribeStorage(p.Storage, p.Batch, p.TrainableBytes))
	fmt.Fprintf(w, "run     micro-batch %d x %d, %d per step; %s%s\n",
		p.Batch.Batch, p.Batch.SeqLen, p.GradAccum, p.Optimizer, adapters(p))
	if p.Fitted != nil {
		fmt.Fprintf(w, "limit   %s\n", p.Fitted)
	}
	fmt.Fprintln(w)

	header := []string{"", "new", "layers"}
	for _, class := range gpu.Classes() {
		header = append(header, class.String())
	}
	rows := [][]string{append(header, "all", "paper")}
	for _, m := range p.Methods {
		for i, s := range m.Stages {
			paper := "-"
			if s.PaperBytes > 0 {
				paper = gpu.Bytes(s.PaperBytes)
			}
			cells := []string{stageLabel(m, i), strconv.Itoa(s.NewLayers), strconv.Itoa(s.Layers)}
			for _, class := range gpu.Classes() {
				cells = append(cells, gpu.Bytes(s.Bytes[class.String()]))
			}
			rows = append(rows, append(cells, gpu.Bytes(s.PeakBytes), paper))
		}
	}
	view.Table(w, 1, rows)

	printRounds(w, p)
	fmt.Fprintln(w)
	if err := chart.Draw(w, planChart(p)); err != nil {
		return err
	}

	if len(p.Methods) == 1 {
		return nil // nothing to compare
	}
	fmt.Fprintln(w, "\nLargest stage against vanilla")
	rows = [][]string{{"", "all", "states", "paper"}}
	for _, m := range p.Methods[1:] {
		paper := "-"
		if m.PaperBytes > 0 {
			paper = less(m.PaperReduction)
		}
		rows = append(rows, []string{m.Method, less(m.Reduction), less(m.StateReduction), paper})
	}
	view.Table(w, 1, rows)
	fmt.Fprintln(w, "\nall     every buffer of the program on a GPU, at this micro-batch")
	fmt.Fprintln(w, "states  weights, adapters, gradients and optimizer alone")
	fmt.Fprintln(w, "paper   16 bytes per trained and 2 per frozen parameter of the layers, nothing else")
	return nil
}

// printRounds says, of every stage, what an outer optimizer keeps, and what its rounds send, if there is one.
func printRounds(w io.Writer, p plan.Plan) {
	if p.Outer == nil {
		return
	}
	fmt.Fprintf(w, "\nRounds of %s\n", view.Steps(p.Outer.Every))
	rows := [][]string{{"", "outer", "sent", "gradients", "ratio"}}
	for _, m := range p.Methods {
		for i, s := range m.Stages {
			synchronous := 4 * s.Trainable * int64(p.Outer.Every)
			rows = append(rows, []string{stageLabel(m, i), gpu.Bytes(s.OuterBytes), gpu.Bytes(s.RoundBytes),
				gpu.Bytes(synchronous), fmt.Sprintf("1/%.0f", float64(synchronous)/float64(s.RoundBytes))})
		}
	}
	view.Table(w, 1, rows)
	fmt.Fprintln(w, "\nouter      what the outer optimizer keeps in the process's memory")
	fmt.Fprintln(w, "sent       by each process but the first at a round's end, and as much is received")
	fmt.Fprintln(w, "gradients  in f32 of as many steps, which synchronous training would send")
}

// planChart is a bar for every stage of every method, by class.
func planChart(p plan.Plan) chart.Chart {
	c := chart.Chart{Title: fmt.Sprintf("Memory of %s parameters, by class", view.Count(p.Parameters))}
	for _, class := range gpu.Classes() {
		c.Parts = append(c.Parts, class.String())
	}
	for _, m := range p.Methods {
		for i, s := range m.Stages {
			b := chart.Bar{Label: stageLabel(m, i)}
			for _, part := range c.Parts {
				b.Parts = append(b.Parts, s.Bytes[part])
			}
			c.Bars = append(c.Bars, b)
		}
	}
	return c
}

// stageLabel names a row of the plan.
func stageLabel(m plan.MethodPlan, i int) string {
	if len(m.Stages) == 1 {
		return m.Method
	}
	return fmt.Sprintf("%s: %d", m.Method, i+1)
}

func adapters(p plan.Plan) string {
	if p.LoRA.Rank == 0 {
		return ""
	}
	return fmt.Sprintf("; LoRA of rank %d (alpha %g) on %s of frozen layers", p.LoRA.Rank, p.LoRA.Alpha,
		strings.Join(p.LoRA.Targets, ", "))
}

// less compares with vanilla training.
func less(reduction float64) string {
	if reduction < 0 {
		return fmt.Sprintf("%.1f %% more than vanilla", -100*reduction)
	}
	return fmt.Sprintf("%.1f %% less than vanilla", 100*reduction)
}

// DescribeStorage says how numbers are kept.
func DescribeStorage(s model.Storage, b model.Size, trainableBytes float64) string {
	text := fmt.Sprintf("%s, states %s, gradients %s: %.4g bytes per trainable parameter, %.4g per frozen one",
		s.Precision, s.States, s.Gradients, trainableBytes, s.FrozenBytes())
	if s.Release {
		text += "; gradients released, each clipped by itself to its share of the norm"
	}
	if b.Recompute {
		text += "; blocks recomputed in backward"
	}
	return text
}
