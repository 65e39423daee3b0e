package clock

import (
	"math/bits"
	"syscall"
	"time"
	"unsafe"
)

var (
	kernel  = syscall.NewLazyDLL("kernel32.dll")
	counter = kernel.NewProc("QueryPerformanceCounter")

	base      = time.Now()
	first     = read(counter)
	perSecond = read(kernel.NewProc("QueryPerformanceFrequency"))
)

// read calls a function that fills one number; neither fails on any Windows that Go runs on.
func read(f *syscall.LazyProc) (n uint64) {
	f.Call(uintptr(unsafe.Pointer(&n)))
	return n
}

func now() time.Time {
	high, low := bits.Mul64(read(counter)-first, uint64(time.Second))
	passed, _ := bits.Div64(high, low, perSecond)
	return base.Add(time.Duration(passed))
}
