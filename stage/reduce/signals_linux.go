package reduce

import (
	"fmt"
	"os"
	"unsafe"

	"github.com/ebitengine/purego"
)

// quietSignals has MPI libraries, and what they load, leave alone the signals that Go's runtime needs: their handlers
// print a stack and end the process where Go reports a nil pointer.
func quietSignals() {
	for _, v := range []struct{ name, value string }{
		{"OMPI_MCA_opal_signal", ""}, {"PMIX_MCA_pmix_signal", ""}, // Open MPI
		{"UCX_ERROR_SIGNALS", ""}, {"UCX_HANDLE_ERRORS", "none"}, // UCX
		{"IPATH_NO_BACKTRACE", "1"}, {"HFI_NO_BACKTRACE", "1"}, // Omni-Path
	} {
		if _, set := os.LookupEnv(v.name); !set {
			os.Setenv(v.name, v.value)
		}
	}
}

// action is sigaction of the C library on Linux.
type action struct {
	handler  uintptr
	mask     [16]uint64
	flags    int32
	restorer uintptr
}

// onStack is SA_ONSTACK of signal.h.
const onStack = 0x08000000

// goodSignals sets SA_ONSTACK on handlers that a library installed without: a signal that arrives on a goroutine's
// small stack would overrun it.
func goodSignals() error {
	c, err := purego.Dlopen("libc.so.6", purego.RTLD_NOW)
	if err != nil {
		return nil // Another C library, as musl: what is installed stays.
	}
	address, err := purego.Dlsym(c, "sigaction")
	if err != nil {
		return nil
	}
	var sigaction func(signal int32, act, old unsafe.Pointer) int32
	purego.RegisterFunc(&sigaction, address)
	for signal := int32(1); signal < 32; signal++ {
		var a action
		if sigaction(signal, nil, unsafe.Pointer(&a)) != 0 || a.handler <= 1 || a.flags&onStack != 0 {
			continue
		}
		a.flags |= onStack
		if sigaction(signal, unsafe.Pointer(&a), nil) != 0 {
			return fmt.Errorf("signal %d has a handler of the MPI library's that cannot run beside Go", signal)
		}
	}
	return nil
}
