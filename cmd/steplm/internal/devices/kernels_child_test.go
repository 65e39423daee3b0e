package devices

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"steplm/cmd/steplm/internal/child"
	"steplm/cmd/steplm/internal/clitest"
	"steplm/gpu"
)

// Values of asCommand with which the test binary stands for a process that a compiler
// ends or holds up.
const (
	ChildAborts = "aborts"
	ChildHangs  = "hangs"
)

// refusal is what FXC says of a barrier that not every invocation reaches.
const refusal = "Validation Error\n\nCaused by:\n    In wgpuDeviceCreateComputePipeline\n      note: label = `k`\n   " +
	" Internal error: FXC D3DCompile error (0x80004005): " +
	"Z:\\somewhere\\k(115,13-45): error X3663: thread sync operation found in varying flow control, consider " +
	"reformulating\n" +
	"Z:\\somewhere\\k(109,44-52): error X3663: this variable dependent on potentially varying data: local\n\x00\n"

// panicOver is how the native library prints a message with a zero byte.
func panicOver(message string) string {
	numbers := strings.Join(strings.Fields(strings.Trim(fmt.Sprint([]byte(message)), "[]")), ", ")
	return fmt.Sprintf(
		"[wgpu] [Error] something else\nthread '<unnamed>' panicked at 'called `Result::unwrap()` on an `Err` value: "+
			"NulError(%d, [%s])', src\\lib.rs:2577:55\n"+
			"note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n", strings.IndexByte(
			message,
			0), numbers)
}

// Abort ends the process as the native library does.
func Abort() {
	fmt.Fprint(os.Stderr, panicOver(refusal))
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	panic(err)
}

func TestTryInChild(t *testing.T) {
	good := gpu.OwnKernels()[0]
	bad := *good
	bad.Name, bad.Source = "bad", "fn bad() {"
	for _, device := range clitest.Devices(t) {
		t.Setenv(clitest.AsCommand, "1")
		if seconds, err := tryInChild(t.Context(), device, good); err != nil || seconds < 0 {
			t.Errorf("device %q: %g seconds, %v", device, seconds, err)
		}
		if device != "host" { // which compiles nothing
			_, err := tryInChild(t.Context(), device, &bad)
			oneError(t, err, "kernel bad does not compile", "parsing error")
		}
	}
	if len(clitest.Devices(t)) > 1 {
		_, err := tryInChild(t.Context(), "no such GPU", good)
		oneError(t, err, "no such GPU")
	}

	t.Setenv(clitest.AsCommand, ChildAborts)
	_, err := tryInChild(t.Context(), "host", good)
	oneError(t, err, "kernel "+good.Name, "ended the process",
		"error X3663: thread sync operation found in varying flow control")

	t.Setenv(clitest.AsCommand, ChildHangs)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = tryInChild(short, "host", good)
	oneError(t, err, "kernel "+good.Name, "stopped after", context.DeadlineExceeded.Error())
}

// oneError checks that err is one line that holds parts.
func oneError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", parts)
		return
	}
	for _, part := range parts {
		if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, part) {
			t.Errorf("error %q is not one line with %q", text, part)
		}
	}
}

func TestLastWords(t *testing.T) {
	for stderr, want := range map[string]string{
		panicOver(refusal): "error X3663: thread sync operation found in varying flow control, " +
			"consider reformulating",
		panicOver("out of\n memory\x00"): "out of memory",
		"noise\nthread '<unnamed>' panicked at 'no', lib.rs:1:2\n" +
			"steplm: error: the GPU library gave up\n": "thread '<unnamed>' panicked at 'no', lib.rs:1:2",
		"thread '<unnamed>' panicked at 'no\n\nCaused by:\n  it is lost\n', lib.rs:1:2\nnote: run with x\n": "thread " +
			"'<unnamed>' panicked at 'no Caused by: it is lost ', lib.rs:1:2",
		"noise\nsteplm: error: device lost\n\n": "device lost",
		"":                                      "it said nothing",
	} {
		if got := child.LastWords(stderr); got != want {
			t.Errorf("of %q: %q, want %q", stderr, got, want)
		}
	}
}
