// Package processes is what commands share that run in several processes at once, as mpirun or srun starts them: how a
// process joins the others, which device is its own, and how an error of one of them is told.
package processes

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"steplm/cmd/steplm/internal/flags"
	"steplm/gpu"
	"steplm/stage/reduce"
)

// Flags say how gradients travel where mpirun, srun or the like starts several processes.
type Flags struct {
	Wire      string `placeholder:"TYPE" help:"Type of gradients between the processes that mpirun or srun started: f32, or bf16, which halves the bytes; in rounds --outer-wire says it. Default: f32."`
	NoOverlap bool   `help:"Sum gradients over those processes after the backward pass, not while it goes on."`
}

// Join begins MPI, if a launcher started this process as one of several; nil: it is alone.
func Join() (*reduce.MPI, error) {
	l, ok := reduce.FindLauncher()
	if !ok {
		return nil, nil
	}
	return reduce.Start(l)
}

// Device is the device of one of several processes on a machine, unless one is chosen, see ofRank.
func Device(f flags.DeviceFlag, m *reduce.MPI) flags.DeviceFlag {
	if m == nil || f.Device != "" {
		return f
	}
	if index, ok := ofRank(gpu.Enumerate(), m.Local()); ok {
		f.Device = strconv.Itoa(index)
	}
	return f
}

// ofRank is the adapter of a process among those on its machine: each has a GPU of its own, as far as there are as
// many, and all have the first device where there is no GPU. They are of the first one's kind, since the integrated GPU
// beside others would hold them up, and of its backend, since a GPU may be listed once for each.
func ofRank(adapters []gpu.Adapter, local int) (index int, ok bool) {
	var like []gpu.Adapter
	for _, a := range adapters {
		if a.Kind != "cpu" && a.Kind == adapters[0].Kind && a.Backend == adapters[0].Backend {
			like = append(like, a)
		}
	}
	if len(like) == 0 {
		return 0, false
	}
	return like[local%len(like)].Index, true
}

// Error is an error of one of several processes, all of which it ends.
type Error struct {
	Err error
	m   *reduce.MPI
}

// Among makes an error one of a process, which it names unless the error names one; nil stays nil.
func Among(m *reduce.MPI, err error) error {
	if m == nil || err == nil {
		return err
	}
	var differ *reduce.Disagreement
	var elsewhere *reduce.Elsewhere
	if errors.As(err, &differ) || errors.As(err, &elsewhere) {
		return &Error{err, m}
	}
	return &Error{fmt.Errorf("%s: %w", m.Self(), err), m}
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Turn waits until a process with a lower rank would have told its error: where all have the same one, it is told once.
// Who has another's waits until that one would have told it.
func (e *Error) Turn() {
	if elsewhere := (*reduce.Elsewhere)(nil); errors.As(e.Err, &elsewhere) {
		time.Sleep(lastTurn)
	}
	Turn(e.m.Rank())
}

// End ends all processes with an exit code.
func (e *Error) End(code int) { e.m.Abort(code) }

// Turn is Error.Turn of a rank: by then the others' end has ended it.
func Turn(rank int) {
	if rank > 0 {
		time.Sleep(min(8*time.Second+time.Duration(rank)*100*time.Millisecond, lastTurn))
	}
}

// lastTurn is when the process with the highest rank tells its error.
const lastTurn = 15 * time.Second
