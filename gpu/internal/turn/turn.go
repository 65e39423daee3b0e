// Package turn lets one caller at a time use a device, and finds the goroutine that would wait for itself.
package turn

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// Turn lets one caller at a time use a device. A pass keeps its turn from Begin
// to End, so whoever asks for another one in the same goroutine meanwhile would
// wait for ever: that is found and refused. Other goroutines wait.
type Turn struct {
	mu   sync.Mutex
	pass atomic.Pointer[holder]
}

// holder is the open pass and the goroutine that began it.
type holder struct{ label, goroutine string }

// Take waits for the turn; Give ends it.
func (t *Turn) Take() error {
	if t.mu.TryLock() {
		return nil
	}
	if h := t.pass.Load(); h != nil && h.goroutine == goroutine() {
		return fmt.Errorf("pass %q is still open in this goroutine: call its End first", h.label)
	}
	t.mu.Lock()
	return nil
}

// Give ends what Take began.
func (t *Turn) Give() { t.mu.Unlock() }

// TakePass is Take for a pass, until GivePass.
func (t *Turn) TakePass(label string) error {
	err := t.Take()
	if err == nil {
		t.pass.Store(&holder{label, goroutine()})
	}
	return err
}

// GivePass ends what TakePass began.
func (t *Turn) GivePass() {
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
