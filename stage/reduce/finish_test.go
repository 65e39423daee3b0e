//go:build linux || darwin

package reduce

import "testing"

// A process whose last meeting failed has ended its library when it ends the others: that is one line, and no panic.
func TestAbortAfterTheEnd(t *testing.T) {
	m := &MPI{calls: make(chan *call), lib: &library{version: openMPI, finalize: func() int32 { return 0 }}}
	ended := make(chan struct{})
	go func() {
		for c := range m.calls {
			if c == nil {
				break
			}
			m.carryOut(c)
		}
		close(ended)
	}()
	if err := m.finish(); err != nil {
		t.Fatal(err)
	}
	<-ended
	select {
	case m.calls <- &call{}:
		t.Error("somebody makes calls of a library that has ended")
	default:
	}
}
