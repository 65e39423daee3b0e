package clitest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
)

// Main is a package's TestMain: it runs the tests, or, in a process that a test has started, the command; or one of
// the others, which stand for what else such a process may do.
func Main(m *testing.M, run func(args []string) int, others map[string]func()) {
	as := os.Getenv(AsCommand)
	switch other := others[as]; {
	case as == "":
		os.Exit(m.Run())
	case other != nil:
		other()
	default:
		os.Exit(run(os.Args[1:]))
	}
}

// CallOf is a call that has yet to run.
func CallOf(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Env = append(os.Environ(), AsCommand+"=1")
	return c
}

// Call runs the command to its end.
func Call(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return Finish(t, CallOf(t.Context(), args...), stdin)
}

func Finish(t *testing.T, c *exec.Cmd, stdin string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &err
	if e := c.Run(); e != nil && !errors.As(e, new(*exec.ExitError)) {
		t.Fatalf("%v: %v", c.Args[1:], e)
	}
	return out.String(), err.String(), c.ProcessState.ExitCode()
}

// Succeed runs the command and returns what it printed.
func Succeed(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	stdout, stderr, code := Call(t, stdin, args...)
	if code != 0 {
		t.Fatalf("steplm %s: exit code %d: %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// Fail checks that the command ends with a code and one line that holds parts.
func Fail(t *testing.T, code int, parts []string, args ...string) {
	t.Helper()
	stdout, stderr, got := Call(t, "", args...)
	CheckFailure(t, strings.Join(args, " "), stderr, got, code, parts...)
	if stdout != "" {
		t.Errorf("steplm %s: failed and printed %q", strings.Join(args, " "), stdout)
	}
}

// CheckFailure checks an exit code and the one line on standard error, beside what a slow machine tells of progress.
func CheckFailure(t *testing.T, what, stderr string, got, code int, parts ...string) {
	t.Helper()
	stderr = regexp.MustCompile(`(?m)^[a-z][^:\n]*: .*\d[smhd] (so far|left)\b.*\n`).ReplaceAllString(stderr, "")
	if got != code {
		t.Errorf("steplm %s: exit code %d, want %d: %s", what, got, code, stderr)
	}
	if !strings.HasPrefix(stderr, "steplm: error: ") || strings.Count(stderr, "\n") != 1 ||
		!strings.HasSuffix(stderr, "\n") {
		t.Errorf("steplm %s: want one line on standard error, got %q", what, stderr)
	}
	for _, part := range parts {
		if !strings.Contains(stderr, part) {
			t.Errorf("steplm %s: %q does not hold %q", what, stderr, part)
		}
	}
}

// Devices are the --device of every device that tests run on.
func Devices(t *testing.T) []string {
	t.Helper()
	list := []string{"host"}
	if len(gpu.Enumerate()) > 0 {
		list = append(list, os.Getenv("STEPLM_DEVICE"))
	} else if os.Getenv("STEPLM_GPU") == "require" {
		t.Fatal("STEPLM_GPU=require: ", gpu.NoAdapterHelp)
	}
	return list
}

// StoryDevices are those of tests of a whole story whose parts other tests have on every device: the last of Devices,
// which is an adapter where there is one, or all where all tests are wanted.
func StoryDevices(t *testing.T) []string {
	t.Helper()
	list := Devices(t)
	if !gputest.All() {
		list = list[len(list)-1:]
	}
	return list
}

// AsCommand makes the test binary the command itself: exit codes and both
// outputs are tested as another program sees them.
const AsCommand = "STEPLM_TEST_AS_COMMAND"
