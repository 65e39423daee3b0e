// Package reduce is where the processes of a parallel run meet: between the gradients of a step and its update, and
// wherever they must agree.
//
// It exists so that the trainer knows of other processes only that sums are over all of them, and so that how bytes go
// from one process to another, a Group, is nobody else's concern. A Group moves bytes and computes nothing: what is
// summed is summed here, in the order of ranks, so that a run repeats bit for bit with the same number of processes,
// whatever the library below does. MPI is one, found at run time; the program links none.
//
// What Go cannot enforce: that all processes call the same methods in the same order, with as much. A process that
// fails must end the group (MPI.Abort), or the others wait for it until a deadline.
package reduce

import (
	"fmt"
	"math"

	"steplm/gpu"
)

// Group is the processes of a run, and moves bytes among them. One call at a time is made of it, the same in every
// process.
type Group interface {
	// Rank is this process's number, from 0; Size how many there are.
	Rank() int
	Size() int
	// Host is the name of a rank's machine.
	Host(rank int) string
	// AllToAll cuts send and recv into Size parts of equal length: part r of send goes to rank r, and part r of recv
	// comes from it.
	AllToAll(send, recv []byte) error
	// AllGather makes part r of recv, which has Size parts of send's length, what rank r sends.
	AllGather(send, recv []byte) error
}

// Options say how gradients travel.
type Options struct {
	Wire Wire
	// NoOverlap leaves all sums for after Backward, instead of summing what is complete while the rest is computed.
	NoOverlap bool
	// BucketBytes is how many bytes on the wire, about, are summed in one piece; 0: DefaultBucketBytes.
	BucketBytes int
}

// DefaultBucketBytes is large beside what a message costs, and small beside a model.
const DefaultBucketBytes = 4 << 20

// Reducer sums over the processes of a group. nil stands for one process alone.
type Reducer struct {
	group   Group
	options Options
	sent    int64
	jobs    chan *bucket // to the goroutine that sums
	pending []*bucket    // begun and not put back, oldest first
	free    [][]byte     // of buckets that are done
}

// New makes a reducer of a group, which is its own from here on.
func New(g Group, o Options) *Reducer {
	if o.BucketBytes == 0 {
		o.BucketBytes = DefaultBucketBytes
	}
	return &Reducer{group: g, options: o}
}

// Rank is this process's number, from 0.
func (r *Reducer) Rank() int {
	if r == nil {
		return 0
	}
	return r.group.Rank()
}

// Size is how many processes there are.
func (r *Reducer) Size() int {
	if r == nil {
		return 1
	}
	return r.group.Size()
}

// Leads reports whether this process is the one that saves, logs and evaluates.
func (r *Reducer) Leads() bool { return r.Rank() == 0 }

// SetPace tells a group that keeps a watch over its processes what this one does next.
func (r *Reducer) SetPace(p Pace) {
	if r == nil {
		return
	}
	if g, ok := r.group.(interface{ SetPace(Pace) }); ok {
		g.SetPace(p)
	}
}

// Sent is how many bytes this process has sent to others.
func (r *Reducer) Sent() int64 { return r.sent }

// Name is how a rank is called in an error.
func (r *Reducer) Name(rank int) string {
	return called(rank, r.group.Host(rank))
}

// Sum replaces each count by its sum over all processes.
func (r *Reducer) Sum(counts []int64) error {
	if r.Size() == 1 {
		return nil
	}
	parts, err := r.gather(bytesOf(counts))
	if err != nil {
		return err
	}
	clear(counts)
	for _, part := range parts {
		for i, n := range valuesOf[int64](part) {
			counts[i] += n
		}
	}
	return nil
}

// gather is what each rank sends, as much from each.
func (r *Reducer) gather(send []byte) ([][]byte, error) {
	n := r.group.Size()
	recv := aligned(n * len(send))
	if err := r.group.AllGather(send, recv); err != nil {
		return nil, err
	}
	r.sent += int64(n-1) * int64(len(send))
	parts := make([][]byte, n)
	for i := range parts {
		parts[i] = recv[i*len(send) : (i+1)*len(send)]
	}
	return parts, nil
}

// NotFinite is a statistic, such as a loss, that is no number in some processes.
type NotFinite struct{ Ranks []string }

func (e *NotFinite) Error() string {
	return fmt.Sprintf("it is no number on %s", listed(e.Ranks))
}

// Stats sums a few values on the device in f32, whatever the wire, in the order of ranks. The values that a process
// had before are looked at: bad names those that are not finite, and is nil where all are.
func (r *Reducer) Stats(d gpu.Device, t gpu.Tensor) (bad *NotFinite, err error) {
	if r.Size() == 1 {
		return nil, nil
	}
	values, err := gpu.ReadF32(d, t)
	if err != nil {
		return nil, err
	}
	parts, err := r.gather(bytesOf(values))
	if err != nil {
		return nil, err
	}
	clear(values)
	var names []string
	for rank, part := range parts {
		finite := true
		for i, x := range valuesOf[float32](part) {
			values[i] += x
			finite = finite && !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0)
		}
		if !finite {
			names = append(names, r.Name(rank))
		}
	}
	if names != nil {
		bad = &NotFinite{names}
	}
	return bad, gpu.WriteF32(d, t, values)
}
