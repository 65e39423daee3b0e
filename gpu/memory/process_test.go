package memory

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

func TestProcessPeakIsRead(t *testing.T) {
	dir := t.TempDir()
	if n, ok := processPeak(dir); ok {
		t.Errorf("a peak of %d bytes without a file", n)
	}
	for text, want := range map[string]int64{
		"Name:\tsteplm\nVmPeak:\t  9999 kB\nVmHWM:\t   123 kB\nVmRSS:\t    45 kB\n": 123 << 10,
		"VmPeak:\t  9999 kB\n": -1,
		"VmHWM:\t many kB\n":   -1,
	} {
		if err := os.WriteFile(filepath.Join(dir, "status"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if n, ok := processPeak(dir); ok != (want >= 0) || ok && n != want {
			t.Errorf("%q: %d, %v; want %d", text, n, ok, want)
		}
	}
}

func TestProcessPeakIsReset(t *testing.T) {
	dir := t.TempDir()
	if err := resetProcessPeak(dir); err == nil || !strings.Contains(err.Error(), "cannot reset the peak") {
		t.Errorf("without clear_refs: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("the failed reset left %s", left[0].Name())
	}
	if err := ResetProcessPeak(); err != nil {
		t.Skip(err)
	}
	const size = 64 << 20
	before, ok := ProcessPeak()
	if !ok {
		t.Fatal("the peak can be reset and not read")
	}
	b := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		b[i] = 1
	}
	high, _ := ProcessPeak()
	if high < before+size*9/10 {
		t.Errorf("peak %d bytes after %d were touched, %d before", high, size, before)
	}
	b = nil
	debug.FreeOSMemory()
	if n, _ := ProcessPeak(); n < high-1<<20 { // the kernel counts in batches
		t.Errorf("the peak fell from %d bytes to %d by itself", high, n)
	}
	if err := ResetProcessPeak(); err != nil {
		t.Fatal(err)
	}
	if n, _ := ProcessPeak(); n > high-size/2 {
		t.Errorf("peak %d bytes after the reset, %d before", n, high)
	}
}
