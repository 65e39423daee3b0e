package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"steplm/gpu"
	"steplm/model"
	"steplm/stage"
)

type planCmd struct {
	ModelFlags `embed:""`
	StepFlags  `embed:""`
	BatchSize  int  `default:"8" placeholder:"N" help:"Windows per micro-batch. Default: ${default}."`
	JSON       bool `help:"Print JSON."`
}

func (c *planCmd) Run() error {
	config, err := c.Config(0)
	if err != nil {
		return err
	}
	o := stage.Options{Model: config, Batch: model.Size{Batch: c.BatchSize, SeqLen: c.Window(config)}}
	c.StepFlags.Set(&o, config)
	p, err := stage.MakePlan(o)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(p)
	}
	printPlan(os.Stdout, p)
	return nil
}

func printPlan(w io.Writer, p stage.Plan) {
	c := p.Model
	head := "own head"
	if c.Tied {
		head = "head tied to the embedding"
	}
	fmt.Fprintf(w, "model  hidden %d, FFN %d, %d layers, %d heads (%d key-value), vocabulary %d, %s: %s parameters\n",
		c.Hidden, c.FFN, c.Layers, c.Heads, c.KVHeads, c.Vocab, head, count(p.Parameters))
	fmt.Fprintf(w, "run    %s; micro-batch %d x %d; f32, AdamW\n\n", method(p), p.Batch.Batch, p.Batch.SeqLen)

	header := []string{"", "new", "layers"}
	for _, class := range gpu.Classes() {
		header = append(header, class.String())
	}
	rows := [][]string{append(header, "all", "paper")}
	row := func(name string, added, layers int, bytes map[string]int64, all, paper int64) {
		cells := []string{name, strconv.Itoa(added), strconv.Itoa(layers)}
		for _, class := range gpu.Classes() {
			cells = append(cells, gpu.Bytes(bytes[class.String()]))
		}
		rows = append(rows, append(cells, gpu.Bytes(all), gpu.Bytes(paper)))
	}
	for i, s := range p.Stages {
		row(fmt.Sprintf("stage %d", i+1), s.NewLayers, s.Layers, s.Bytes, s.PeakBytes, s.PaperBytes)
	}
	row("vanilla", c.Layers, c.Layers, p.Vanilla, p.VanillaBytes, p.PaperVanillaBytes)
	writeTable(w, 1, rows)

	fmt.Fprintf(w, "\nall    the largest stage takes %s: every buffer of the program on a GPU, at this micro-batch\n", less(p.Reduction))
	fmt.Fprintf(w, "paper  the largest stage takes %s: 16 bytes per trained and 2 per frozen parameter of the layers, nothing else\n", less(p.PaperReduction))
}

func method(p stage.Plan) string {
	if len(p.Stages) == 1 {
		return "one stage, which is vanilla training"
	}
	return fmt.Sprintf("STEP in %d stages, LoRA of rank %d (alpha %g) on %s of frozen layers", len(p.Stages), p.Adapter.Rank, p.Adapter.Alpha, strings.Join(p.Adapter.Targets, ", "))
}

// less compares with vanilla training.
func less(reduction float64) string {
	if reduction < 0 {
		return fmt.Sprintf("%.1f %% more than vanilla", -100*reduction)
	}
	return fmt.Sprintf("%.1f %% less than vanilla", 100*reduction)
}

// count prints a large number: 367,969,280.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}
