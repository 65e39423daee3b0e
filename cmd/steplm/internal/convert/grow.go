package convert

import (
	"context"
	"fmt"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/stage/session"
)

// GrowCmd makes a model deeper by growth alone.
type GrowCmd struct {
	Model    string `arg:"" help:"Model to begin with: a run's folder, RUN@step-N, RUN@stable-N, a checkpoint or a Hugging Face directory."`
	Layers   int    `required:"" placeholder:"N" range:"1..1e5" help:"Layers afterwards."`
	Operator string `default:"mean" placeholder:"NAME" help:"Growth operator: mean of the neighbours, copy (of the lower one), copy_upper, stack (the whole stack again), zero (a copy that adds nothing at first) or random. Default: ${default}."`
	Position string `default:"${position}" help:"Where new layers go: upper, intermediate, lower or random. Default: ${default}."`
	Seed     uint64 `default:"${seed}" help:"Seed of the operator and the position random."`
	Out      string `required:"" placeholder:"DIR" help:"Folder to write, as Hugging Face has it; it must not exist."`
	flags.DeviceFlag
	JSON bool `name:"json" help:"Print one JSON object."`
}

// Run is the command.
func (c *GrowCmd) Run(ctx context.Context) error {
	dev, err := c.Open()
	if err != nil {
		return err
	}
	defer dev.Close()
	g, err := session.Grow(ctx, dev, c.Model, c.Out, session.Deeper{Layers: c.Layers, Operator: c.Operator,
		Position: c.Position, Seed: c.Seed})
	if err != nil {
		return flags.AsUsage(err)
	}
	if c.JSON {
		return view.JSON(struct {
			Out        string `json:"out"`
			From       int    `json:"from_layers"`
			To         int    `json:"to_layers"`
			Parameters int64  `json:"parameters"`
			DType      string `json:"dtype"`
			Note       string `json:"note,omitempty"`
		}{c.Out, g.From, g.To, g.Parameters, string(g.DType), g.Note})
	}
	fmt.Printf("%s: %d layers became %d (operator %s, position %s), %s parameters in %s\n", c.Out, g.From, g.To,
		c.Operator, c.Position, view.Count(g.Parameters), g.DType)
	if g.Note != "" {
		fmt.Println(g.Note)
	}
	return nil
}
