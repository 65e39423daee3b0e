package reduce

import "math"

// Link is what lies between processes: `bench reduce` measures it.
type Link struct {
	Bandwidth float64 `json:"bandwidth"` // bytes a second that a process sends while it receives as much
	Latency   float64 `json:"latency"`   // seconds that a message costs, however short
}

// Load is what a step sends: gradients of so many values each, in the order in which they are complete, and statistics.
type Load struct {
	Gradients  []int
	Statistics int
}

// countBytes are those of a step's counts: whether anyone was told to stop, scored targets, pairs in attention.
const countBytes = 8 + 16

// Bytes is what each of n processes sends in a step: 2 (n-1)/n of the gradients, and a little besides.
func (o Options) Bytes(l Load, n int) (bytes int64) {
	at := 0
	for _, count := range o.Buckets(l.Gradients) {
		values := 0
		for _, g := range l.Gradients[at : at+count] {
			values += g
		}
		at += count
		bytes += 2 * int64(n-1) * int64(Part(values, n)*o.Wire.Bytes())
	}
	return bytes + int64(n-1)*int64(countBytes+4*l.Statistics)
}

// Messages is how many each of n processes sends for that.
func (o Options) Messages(l Load, n int) int {
	return (n - 1) * (2*len(o.Buckets(l.Gradients)) + 3)
}

// Seconds is how long that takes: every process sends its messages one after the other.
func (o Options) Seconds(l Load, n int, k Link) float64 {
	return float64(o.Messages(l, n))*k.Latency + float64(o.Bytes(l, n))/k.Bandwidth
}

// overlap is the share of a micro-batch's time in which gradients become complete: backward computes twice what
// forward does.
const overlap = 2.0 / 3

// Efficiency is the share of its time that each of n processes computes, where a process has one micro-batch of so many
// seconds in a step: what is on the wire while backward goes on costs nothing.
func (o Options) Efficiency(l Load, n int, k Link, micro float64) float64 {
	hidden := overlap * micro
	if o.NoOverlap {
		hidden = 0
	}
	return micro / (micro + math.Max(0, o.Seconds(l, n, k)-hidden))
}

// MostProcesses bounds Useful.
const MostProcesses = 1 << 14

// Useful is the largest number of processes, up to MostProcesses, that compute at least half of their time.
func (o Options) Useful(l Load, k Link, micro float64) int {
	low, high := 1, MostProcesses+1 // Efficiency falls with n.
	for low+1 < high {
		if n := (low + high) / 2; o.Efficiency(l, n, k, micro) >= 0.5 {
			low = n
		} else {
			high = n
		}
	}
	return low
}
