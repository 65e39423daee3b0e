package reduce

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"time"
	"unsafe"
)

// MPI is the processes that an MPI launcher started, as a Group.
//
// All calls of the library are made by one goroutine on one thread of the system, the one that began MPI: a library
// need not offer more (MPI_THREAD_FUNNELED). No call of it blocks: what takes time is begun and asked after, so that
// the same thread keeps the watch, see watch.go, and a process that lost another can still say so.
type MPI struct {
	lib        *library
	rank, size int
	local      int // of those on the same machine, the number of this one
	locals     int // how many these are
	hosts      []string
	calls      chan *call
	watch      watch
}

// call is something that the library's thread does.
type call struct {
	begin func(request unsafe.Pointer) error // starts an operation, unless request is never written
	plain func() error                       // or: does something at once
	what  string
	err   error
	done  chan struct{}
}

// Start begins MPI in a process that a launcher started.
func Start(l Launched) (*MPI, error) {
	quietSignals()
	lib, err := findLibrary(l)
	if err != nil {
		return nil, fmt.Errorf("this process was started as one of several (%s), but %w", l.By, err)
	}
	m := &MPI{lib: lib, calls: make(chan *call)}
	began := make(chan error)
	go m.serve(began)
	if err := <-began; err != nil {
		return nil, err
	}
	if err := l.matches(m.size, lib.describe()); err != nil {
		m.finish()
		return nil, err
	}
	if err := m.meet(); err != nil {
		return nil, err
	}
	m.watch.start(m)
	return m, nil
}

// serve is the thread of the library.
func (m *MPI) serve(began chan<- error) {
	runtime.LockOSThread()
	var provided, rank, size int32
	err := m.lib.check("MPI_Init_thread", m.lib.initThread(nil, nil, m.lib.funneled, &provided))
	if err == nil {
		err = goodSignals()
	}
	if err == nil {
		err = m.lib.check("MPI_Comm_rank", m.lib.commRank(m.lib.world, &rank))
	}
	if err == nil {
		err = m.lib.check("MPI_Comm_size", m.lib.commSize(m.lib.world, &size))
	}
	if err == nil { // What goes wrong comes back, instead of ending the process.
		err = m.lib.check("MPI_Comm_set_errhandler", m.lib.setErrhandler(m.lib.world, m.lib.errorsReturn))
	}
	m.rank, m.size = int(rank), int(size)
	began <- err
	if err != nil {
		return
	}
	idle := time.NewTicker(beatEvery)
	defer idle.Stop()
	for {
		select {
		case c := <-m.calls:
			if c == nil {
				return
			}
			m.carryOut(c)
		case <-idle.C:
			m.watch.look()
		}
	}
}

// carryOut does a call and, until it is complete, keeps the watch.
func (m *MPI) carryOut(c *call) {
	defer close(c.done)
	if c.plain != nil {
		c.err = c.plain()
		return
	}
	var request uintptr
	if c.err = c.begin(unsafe.Pointer(&request)); c.err != nil {
		return
	}
	looked, pause := time.Now(), patience{began: time.Now()}
	for {
		done, err := m.test(&request)
		if done || err != nil {
			c.err = err
			return
		}
		if now := time.Now(); now.Sub(looked) > beatEvery/4 {
			looked = now
			m.watch.look()
		}
		pause.wait()
	}
}

// test asks whether an operation is complete.
func (m *MPI) test(request *uintptr) (bool, error) {
	var done int32
	err := m.lib.check("MPI_Test", m.lib.test(unsafe.Pointer(request), &done, m.lib.statusIgnore))
	return done != 0, err
}

// patience is how an operation is waited for: at first without a pause, since most take microseconds, then in pauses
// that leave the processor to others.
type patience struct {
	began time.Time
	n     int
}

func (p *patience) wait() {
	p.n++
	switch waited := time.Since(p.began); {
	case p.n < 64 || waited < 50*time.Microsecond:
		runtime.Gosched()
	case waited < 20*time.Millisecond:
		time.Sleep(20 * time.Microsecond)
	case waited < time.Second:
		time.Sleep(200 * time.Microsecond)
	default:
		time.Sleep(2 * time.Millisecond)
	}
}

// do has the library's thread do something.
func (m *MPI) do(c *call) error {
	c.done = make(chan struct{})
	m.calls <- c
	<-c.done
	if c.err != nil {
		return fmt.Errorf("%s of %s: %s failed: %w", m.Self(), m.describe(), c.what, c.err)
	}
	return nil
}

// mostBytes is what a count of bytes can say.
const mostBytes = math.MaxInt32

func (m *MPI) exchange(what string, send, recv []byte, each int,
	begin func(send, recv unsafe.Pointer, n int32, request unsafe.Pointer) int32,
) error {
	if each > mostBytes {
		return fmt.Errorf("%s of %d bytes in one piece: at most %d", what, each, mostBytes)
	}
	if len(recv) == 0 {
		return nil
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&send[0])
	pin.Pin(&recv[0])
	m.watch.waiting(true)
	defer m.watch.waiting(false)
	return m.do(&call{what: what, begin: func(request unsafe.Pointer) error {
		return m.lib.check(what, begin(unsafe.Pointer(&send[0]), unsafe.Pointer(&recv[0]), int32(each), request))
	}})
}

// AllToAll is Group's.
func (m *MPI) AllToAll(send, recv []byte) error {
	return m.exchange("MPI_Ialltoall", send, recv, len(send)/m.size,
		func(send, recv unsafe.Pointer, n int32, request unsafe.Pointer) int32 {
			return m.lib.ialltoall(send, n, m.lib.byteType, recv, n, m.lib.byteType, m.lib.world, request)
		})
}

// AllGather is Group's.
func (m *MPI) AllGather(send, recv []byte) error {
	return m.exchange("MPI_Iallgather", send, recv, len(send),
		func(send, recv unsafe.Pointer, n int32, request unsafe.Pointer) int32 {
			return m.lib.iallgather(send, n, m.lib.byteType, recv, n, m.lib.byteType, m.lib.world, request)
		})
}

// Rank is Group's.
func (m *MPI) Rank() int { return m.rank }

// Size is Group's.
func (m *MPI) Size() int { return m.size }

// Host is Group's.
func (m *MPI) Host(rank int) string { return m.hosts[rank] }

// Local is this process's number among the Locals on its machine.
func (m *MPI) Local() int { return m.local }

// Locals is how many processes there are on this machine.
func (m *MPI) Locals() int { return m.locals }

// Self names this process.
func (m *MPI) Self() string { return m.name(m.rank) }

func (m *MPI) name(rank int) string {
	if rank < len(m.hosts) {
		return called(rank, m.hosts[rank])
	}
	return fmt.Sprintf("rank %d", rank)
}

func (m *MPI) describe() string { return m.lib.describe() }

// String says which library it is, and which ABI of it was taken.
func (m *MPI) String() string { return m.describe() }

// hostBytes is as much of a machine's name as is told.
const hostBytes = 64

// meet tells everybody the machines' names.
func (m *MPI) meet() error {
	send, recv := make([]byte, hostBytes), make([]byte, hostBytes*m.size)
	copy(send, Hostname())
	if err := m.AllGather(send, recv); err != nil {
		return err
	}
	for r := range m.size {
		host := string(recv[r*hostBytes : (r+1)*hostBytes])
		for i, c := range host {
			if c == 0 {
				host = host[:i]
				break
			}
		}
		m.hosts = append(m.hosts, host)
	}
	for r, host := range m.hosts {
		if host == m.hosts[m.rank] {
			if r < m.rank {
				m.local++
			}
			m.locals++
		}
	}
	return nil
}

// Close ends MPI once all processes have come here.
func (m *MPI) Close() error {
	// A process that has finished waits here for those that have not, without keeping a processor busy.
	m.watch.end()
	err := m.AllGather(make([]byte, 1), make([]byte, m.size))
	if err == nil {
		err = m.do(&call{what: "the end of the watch", plain: m.watch.part})
	}
	return errors.Join(err, m.finish())
}

// finish ends the library, and its thread.
func (m *MPI) finish() error {
	err := m.do(&call{what: "MPI_Finalize", plain: func() error {
		err := m.lib.check("MPI_Finalize", m.lib.finalize())
		m.lib.unload()
		return err
	}})
	m.calls <- nil // It stays open: an Abort that comes later waits there until it ends the process by itself.
	return err
}

// Abort ends all processes of the group, this one too, with an exit code.
func (m *MPI) Abort(code int) {
	go m.do(&call{what: "MPI_Abort", plain: func() error {
		m.lib.abort(m.lib.world, int32(code))
		return nil
	}})
	time.Sleep(abortTime) // The library ends the process; where it does not, its launcher sees this one end.
	os.Exit(code)
}

// abortTime is how long a library has to end the processes.
const abortTime = 5 * time.Second
