package bench

import (
	"context"
	"io"
	"slices"

	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/internal/clock"
)

// timed is work that is measured again and again, in turns with other work, so that
// what else the machine does meets all of it.
type timed struct {
	once func() (spent, error) // runs it to its end
	// Of each turn, in seconds:
	wall []float64
	cpu  []float64 // of the process, all threads; zeros where the system does not tell
}

// spent is seconds by the clock and on CPUs.
type spent struct{ wall, cpu float64 }

// stopwatch starts one; the function that it returns reads it.
func stopwatch() func() spent {
	start, cpu := clock.Now(), cpuSeconds()
	return func() spent { return spent{clock.Since(start).Seconds(), cpuSeconds() - cpu} }
}

// takeTurns runs everything once to warm up and then turn by turn, every second turn
// backwards: a clock that drifts then favours the first as often as the last.
func takeTurns(ctx context.Context, list []*timed, turns int, w io.Writer, label string) error {
	bar := view.NewProgress(w, label, int64((turns+1)*len(list)), "runs")
	defer bar.Done()
	done := int64(0)
	for turn := range turns + 1 {
		for i := range list {
			t := list[i]
			if turn%2 == 1 {
				t = list[len(list)-1-i]
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			s, err := t.once()
			if err != nil {
				return err
			}
			if turn > 0 {
				t.wall, t.cpu = append(t.wall, s.wall), append(t.cpu, s.cpu)
			}
			done++
			bar.Set(done)
		}
	}
	return nil
}

// shortest is the seconds that one timing of a pass should take at least: long against what
// handing over and waiting cost.
const shortest = 10e-3

// timedPass times what record puts into a pass, as often in one as it needs to take
// long enough. wait is a tensor that it writes.
func timedPass(dev gpu.Device, wait gpu.Tensor, record func(*gpu.Pass)) *timed {
	n := 1
	return &timed{once: func() (spent, error) {
		read := stopwatch()
		p := dev.Begin("bench")
		for range n {
			record(p)
		}
		if err := p.End(); err != nil {
			return spent{}, err
		}
		var word [1]uint32
		err := dev.Read(wait, 0, word[:]) // waits
		s := read()
		each := spent{s.wall / float64(n), s.cpu / float64(n)}
		if s.wall < shortest {
			n = min(1000, 1+int(shortest/max(each.wall, 1e-6)))
		}
		return each, err
	}}
}

func (t *timed) median() float64 { return median(t.wall) }

// spread is how far apart the quickest and the slowest turn are, in shares of the
// median.
func (t *timed) spread() float64 {
	return (slices.Max(t.wall) - slices.Min(t.wall)) / t.median()
}

func median(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// overTurns is x over y, of each turn by itself: the median over the turns. 0 where y is
// not known.
func overTurns(x, y []float64) float64 {
	list := make([]float64, len(x))
	for i := range x {
		list[i] = view.Ratio(x[i], y[i])
	}
	return median(list)
}
