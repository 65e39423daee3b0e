package memory

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ProcessOverhead is what a process on a CPU adapter takes besides the tensors of
// its ledger, in bytes, whatever the size of the model: the program and the
// driver, compiled kernels, copies in flight, and Go's heap of batches and
// checkpoints. Measured on lavapipe (Mesa 22.3, LLVM 15): 72 MiB with the device
// open, 110 to 145 after GiBs of tensors, uploads, read-backs and frees, and in training
// runs with saves and a growth 125 to 145 where the driver has the kernels compiled
// from before and 160 to 326 where it compiles them: the largest take 40 MiB each while
// it does. After tuning, whose kernels were released, 408 to 577.
const ProcessOverhead = 640 << 20

// ProcessPeak is the most memory this process has had resident at once since it
// began, or since ResetProcessPeak, in bytes (VmHWM). ok is false where the system
// does not say (not Linux).
func ProcessPeak() (bytes int64, ok bool) { return processPeak("/proc/self") }

func processPeak(proc string) (int64, bool) {
	b, _ := os.ReadFile(filepath.Join(proc, "status"))
	for _, line := range strings.Split(string(b), "\n") {
		if v, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(v, "kB")), 10, 64)
			return kib * 1024, err == nil
		}
	}
	return 0, false
}

// ResetProcessPeak begins a new ProcessPeak at what is resident now. It fails where
// the system cannot do so (not Linux, or a kernel or container without clear_refs);
// ProcessPeak then goes on from the process's start.
func ResetProcessPeak() error { return resetProcessPeak("/proc/self") }

func resetProcessPeak(proc string) error {
	// No O_CREATE: elsewhere there must not be such a file afterwards.
	f, err := os.OpenFile(filepath.Join(proc, "clear_refs"), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("5")
		if e := f.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		return fmt.Errorf("this system cannot reset the peak of a process's memory: %w", err)
	}
	return nil
}

// ProcessNow is the memory that this process has resident, in bytes. ok is false where
// the system does not say (not Linux).
func ProcessNow() (bytes int64, ok bool) { return processNow("/proc/self") }

func processNow(proc string) (int64, bool) {
	b, _ := os.ReadFile(filepath.Join(proc, "statm"))
	f := strings.Fields(string(b)) // pages: size, resident, ...
	if len(f) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}
