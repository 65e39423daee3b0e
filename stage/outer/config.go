package outer

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"steplm/gpu"
	"steplm/model"
)

// Config is an outer optimizer as a recipe has it.
type Config struct {
	Every    int     `json:"every"` // steps of a round; one ends with every stage, too
	LR       float64 `json:"lr"`
	Momentum float64 `json:"momentum"`
	// Wire is how changes travel, one of Wires; "": as they are. On one machine they are rounded all the same.
	Wire string `json:"wire,omitempty"`
	// Start is the step after which the first round begins; until then one process trains alone.
	Start int `json:"start,omitempty"`
}

// Validate refuses what is no outer optimizer.
func (c Config) Validate() error {
	switch {
	case c.Every < 1:
		return fmt.Errorf("an outer step every %d steps: it needs at least 1", c.Every)
	case !(c.LR > 0) || math.IsInf(c.LR, 1):
		return fmt.Errorf("outer learning rate %g: it must be above 0", c.LR)
	case !(c.Momentum >= 0 && c.Momentum < 1):
		return fmt.Errorf("outer momentum %g: it must be 0 or more and below 1", c.Momentum)
	case c.Start < 0:
		return fmt.Errorf("rounds that begin after step %d: it must be 0 or more", c.Start)
	case c.Wire != "" && !slices.Contains(Wires(), c.Wire):
		return fmt.Errorf("changes that travel in %q: choose one of %s", c.Wire, strings.Join(Wires(), ", "))
	}
	return nil
}

// lossy reports whether changes are rounded before they travel.
func (c Config) lossy() bool { return c.Wire != "" && c.Wire != WireF32 }

// Specs lists what is kept of a layout, all of it in the process's memory.
func (c Config) Specs(l model.Layout) (list []gpu.Spec) {
	for _, p := range l.Params() {
		if p.Trains() {
			list = append(list, c.specs(p.Weight)...)
		}
	}
	return list
}

// specs are a weight's: anchor, momentum, and where changes are rounded the residual.
func (c Config) specs(w gpu.Spec) []gpu.Spec {
	var list []gpu.Spec
	for _, plane := range []string{"anchor", "momentum", "residual"} {
		if plane != "residual" || c.lossy() {
			list = append(list, gpu.Spec{Name: w.Name + "." + plane, Class: gpu.Outer, Shape: w.Shape})
		}
	}
	return list
}

// Bytes is what is kept of a layout.
func (c Config) Bytes(l model.Layout) int64 { return gpu.Plan(c.Specs(l)).Total() }

// WireBytes is a layout's changes as they travel in one direction, once a round.
func (c Config) WireBytes(l model.Layout) (n int64) {
	w := wireOf(c.Wire)
	for _, p := range l.Params() {
		if !p.Trains() {
			continue
		}
		eachPiece(p.Weight, func(_, elements int) error {
			n += int64(w.bytes(elements))
			return nil
		})
	}
	return n
}

// pieceElements is about how many values are handled at a time.
const pieceElements = 1 << 20

// eachPiece calls do for pieces of whole rows of a parameter: their first row and how many elements they have. It
// follows from the shape alone, since rounding is by blocks of a piece.
func eachPiece(w gpu.Spec, do func(row, elements int) error) error {
	rows, cols := w.Rows(), w.Cols()
	most := max(1, pieceElements/cols)
	for row := 0; row < rows; row += most {
		if err := do(row, min(most, rows-row)*cols); err != nil {
			return err
		}
	}
	return nil
}
