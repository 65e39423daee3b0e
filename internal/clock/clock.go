// Package clock measures short times. On Windows the clock of package time stands still for up to 16 ms, so that a step
// of a small model takes no time there, and a rate is infinite; every rate is therefore taken by this one. What happens
// to a number here never influences what is computed.
package clock

import "time"

// Now is a moment on a clock of 100 ns or finer. It is for differences alone.
func Now() time.Time { return now() }

// Since is the time since a moment of Now.
func Since(t time.Time) time.Duration { return now().Sub(t) }
