package export

import (
	"context"
	"fmt"
	"math"

	"steplm/model"
)

// Checked are the weights themselves, but reading fails at one that is infinite or no number, and once ctx has ended.
func Checked(ctx context.Context, w model.Weights) model.Weights { return checked{w, ctx} }

// checked are weights of which none is infinite or no number, read until ctx ends.
type checked struct {
	model.Weights
	ctx context.Context
}

// ReadF32 reads and looks.
func (c checked) ReadF32(name string, at int, dst []float32) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if err := c.Weights.ReadF32(name, at, dst); err != nil {
		return err
	}
	return finite(name, at, dst)
}

// finite refuses values of a tensor that are no numbers.
func finite(name string, at int, values []float32) error {
	for i, v := range values {
		if math.Float32bits(v)&0x7f800000 == 0x7f800000 {
			return fmt.Errorf("%s: element %d is %v: a model with it computes nothing; take an earlier checkpoint",
				name, at+i, v)
		}
	}
	return nil
}
