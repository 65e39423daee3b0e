package gpu

import (
	"fmt"
	"math"
	"time"
)

// pace is how much work a device is given at a time, and for how much of the time.
// Neither changes what is computed, only how it is cut into submissions and when they
// are handed over.
type pace struct {
	speed float64 // floating point operations per second as measured; 0: unknown
	share float64 // of the time that the device may work; 0: not said, all
}

const (
	// submissionSeconds is what one submission should take on a device of known speed,
	// at attained of it: kernels other than the measured one are slower.
	submissionSeconds = 0.1
	attained          = 1.0 / 3
	// maxBudget bounds what follows from a wrong measurement: a second on a device of
	// 1 TFLOP/s, half of what Windows waits for.
	maxBudget = 1e12
	// sharedPart is how much of a submission a device with a share below 1 gets at a
	// time: about 30 ms, two frames of a display.
	sharedPart = 0.3
)

// budget is the work of one submission, where guess is what is known without
// measuring.
func (p pace) budget(guess float64) float64 {
	if p.speed > 0 {
		guess = min(submissionSeconds*attained*p.speed, maxBudget)
	}
	if p.shared() {
		guess *= sharedPart
	}
	return guess
}

func (p pace) shared() bool { return p.share > 0 && p.share < 1 }

// sleep is replaced by tests.
var sleep = time.Sleep

// rest leaves the device idle in proportion to the time for which it worked.
func (p pace) rest(worked time.Duration) {
	if p.shared() {
		sleep(time.Duration(float64(worked) * (1 - p.share) / p.share))
	}
}

// SetShare lets a device work for no more than a share of the time, above 0 and at
// most 1 (the default), so that a display has room: submissions become smaller, each
// is waited for, and then the device is left idle for as long as the share asks.
func SetShare(d Device, share float64) error {
	if !(share > 0 && share <= 1) { // so that NaN fails
		return fmt.Errorf("a share of %g of the device's time: it must be above 0 and at most 1", share)
	}
	return setPace(d, func(p *pace) { p.share = share })
}

// SetSpeed tells a device how many floating point operations per second it was
// measured to make in products of matrices. Submissions are sized by that from then
// on, instead of by the kind of the adapter; Limits stay as they are.
func SetSpeed(d Device, operationsPerSecond float64) error {
	if !(operationsPerSecond > 0) || math.IsInf(operationsPerSecond, 1) {
		return fmt.Errorf("a speed of %g operations per second: it must be above 0", operationsPerSecond)
	}
	return setPace(d, func(p *pace) { p.speed = operationsPerSecond })
}

func setPace(d Device, set func(*pace)) error {
	switch d := d.(type) {
	case *host:
		if err := d.turn.Take(); err != nil {
			return err
		}
		set(&d.pace)
		d.turn.Give()
	case *wdevice:
		if err := d.enter(); err != nil {
			return err
		}
		set(&d.pace)
		d.turn.Give()
	}
	return nil
}
