package recipe

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Guard watches a run for spikes: steps whose loss, or gradient norm, is above a multiple of the median of those
// before it in the stage.
type Guard struct {
	OnSpike string  `json:"on_spike"`       // one of OnSpike
	Loss    float64 `json:"loss"`           // multiples of the median that are a spike, above 1
	Norm    float64 `json:"norm"`           // likewise
	Window  int     `json:"window"`         // steps of the median; it is asked from a fifth of them on
	Most    int     `json:"most_rollbacks"` // of the run; another one stops it
}

// What a run does at a spike.
const (
	StopOnSpike     = "stop"
	RollbackOnSpike = "rollback" // to the last checkpoint; the step's batches are skipped
)

// OnSpike lists what there is to do.
func OnSpike() []string { return []string{StopOnSpike, RollbackOnSpike} }

// Validate refuses what is no guard.
func (g Guard) Validate() error {
	if !slices.Contains(OnSpike(), g.OnSpike) {
		return fmt.Errorf("on a spike %q: choose one of %s", g.OnSpike, strings.Join(OnSpike(), ", "))
	}
	for _, x := range []struct {
		what   string
		factor float64
	}{{"loss", g.Loss}, {"gradient norm", g.Norm}} {
		if !(x.factor > 1) || math.IsInf(x.factor, 1) {
			return fmt.Errorf("a %s of %g times the median as a spike: it must be above 1", x.what, x.factor)
		}
	}
	if g.Window < 1 {
		return fmt.Errorf("a median over %d steps: it needs at least 1", g.Window)
	}
	if g.Most < 0 {
		return fmt.Errorf("at most %d rollbacks: it must be 0 or more", g.Most)
	}
	return nil
}

// Least is how many steps of a stage must be there before one can be a spike.
func (g Guard) Least() int { return (g.Window + 4) / 5 }
