package gpu

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// turn lets one caller at a time use a device. A pass keeps its turn from Begin
// to End, so whoever asks for another one in the same goroutine meanwhile would
// wait for ever: that is found and refused. Other goroutines wait.
type turn struct {
	mu   sync.Mutex
	pass atomic.Pointer[holder]
}

// holder is the open pass and the goroutine that began it.
type holder struct{ label, goroutine string }

// take waits for the turn; give ends it.
func (t *turn) take() error {
	if t.mu.TryLock() {
		return nil
	}
	if h := t.pass.Load(); h != nil && h.goroutine == goroutine() {
		return fmt.Errorf("pass %q is still open in this goroutine: call its End first", h.label)
	}
	t.mu.Lock()
	return nil
}

func (t *turn) give() { t.mu.Unlock() }

// takePass is take for a pass, until givePass.
func (t *turn) takePass(label string) error {
	err := t.take()
	if err == nil {
		t.pass.Store(&holder{label, goroutine()})
	}
	return err
}

func (t *turn) givePass() {
	t.pass.Store(nil)
	t.mu.Unlock()
}

// goroutine is the calling goroutine's number, which Go tells only as the first
// line of a stack trace, "goroutine 7 [running]:". It serves to find a deadlock,
// nothing else depends on it.
func goroutine() string {
	var b [64]byte
	f := bytes.Fields(b[:runtime.Stack(b[:], false)])
	return string(f[1])
}
