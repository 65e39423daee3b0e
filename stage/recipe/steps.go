package recipe

import (
	"fmt"
	"math"
)

// StageSteps shares total optimizer steps among stages. Every stage but the
// last has a learning-rate schedule of T steps and is cut short by growth once
// the fraction growAt (0 < growAt <= 1) of it is done; the last one runs its
// schedule to the end. The paper gives the fraction, 0.75, but not the lengths;
// here every stage has about the same schedule and the run has exactly total
// steps:
//
//	T = round(total / (growAt·(stages-1) + 1))
//	run[i] = floor(growAt·T), schedule[i] = T    before the last stage
//	run[i] = schedule[i] = what is left of total in the last stage
//
// It is an error if any stage gets less than one step.
func StageSteps(total, stages int, growAt float64) (run, schedule []int, err error) {
	if total < 1 || stages < 1 {
		return nil, nil, fmt.Errorf("cannot share %d steps among %d stages: both must be at least 1", total, stages)
	}
	if !(growAt > 0 && growAt <= 1) { // so that NaN fails
		return nil, nil, fmt.Errorf("growth at fraction %g of a stage's schedule: it must be above 0 and at most 1",
			growAt)
	}
	// The conversions forbid fused multiply-adds, which would round differently
	// from machine to machine; the small term makes 0.29 of 100 steps 29, not 28.
	length := int(math.Round(float64(total) / (float64(growAt*float64(stages-1)) + 1)))
	early := int(math.Floor(float64(growAt*float64(length)) + 1e-9))
	for range stages - 1 {
		run = append(run, early)
		schedule = append(schedule, length)
	}
	last := total - (stages-1)*early
	run = append(run, last)
	schedule = append(schedule, last)
	for i, n := range run {
		if n < 1 {
			return nil, nil, fmt.Errorf(
				"%d steps are too few for %d stages that grow at %g: stage %d would get %d steps; use more steps or "+
					"fewer stages", total, stages, growAt, i+1, n)
		}
	}
	return run, schedule, nil
}
