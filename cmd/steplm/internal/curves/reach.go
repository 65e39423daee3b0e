package curves

import "math"

// FinalShare is the part of a run's steps, the last ones, whose mean loss is its final loss: results.Row.TrainLoss.
const FinalShare = 10

// Settled is a run's loss as it is compared with others': each step's is the mean of the tenth of the run's steps that
// ends with it, or of as many as there are. The last is its final loss.
func (r Run) Settled() []float64 { return Smooth(r.Curve.Loss, max(1, len(r.Curve.Loss)/FinalShare)) }

// Crossing is the first step, by its index, after which a settled loss is at most so many hundredths of a nat.
type Crossing struct{ Hundredths, Index int }

// Crossings has one for each hundredth that a run's settled loss went below, the highest first. The steps before the
// first whole tenth do not count: their means are of fewer steps, and lag less.
func (r Run) Crossings() (list []Crossing) {
	settled := r.Settled()
	first := min(max(1, len(settled)/FinalShare)-1, len(settled))
	for i := first; i < len(settled); i++ {
		if loss := settled[i]; !math.IsNaN(loss) && !math.IsInf(loss, 0) {
			h := Hundredths(loss)
			if len(list) == 0 || h < list[len(list)-1].Hundredths {
				list = append(list, Crossing{h, i})
			}
		}
	}
	return list
}

// Hundredths is the least number of hundredths of a nat that a loss is at most.
func Hundredths(loss float64) int { return int(math.Ceil(100*loss - 1e-9)) }

// Reach is the first step, by its index, after which the settled loss is at most so many hundredths; false: none.
func Reach(list []Crossing, hundredths int) (index int, ok bool) {
	for _, c := range list {
		if c.Hundredths <= hundredths {
			return c.Index, true
		}
	}
	return 0, false
}
