package clitest

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Child is a program that was started, whose input and output are the test's.
type Child struct {
	*exec.Cmd
	In  io.WriteCloser
	Out io.ReadCloser
	// Complaint is what it says on standard error; it is whole once the program was waited for.
	Complaint strings.Builder
	t         *testing.T
}

// StartChild starts a program.
func StartChild(t *testing.T, c *exec.Cmd) *Child {
	t.Helper()
	child := &Child{Cmd: c, t: t}
	c.WaitDelay, c.Stderr = 20*time.Second, &child.Complaint
	var err error
	if child.In, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if child.Out, err = c.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return child
}

// Say writes to the program's input.
func (c *Child) Say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.In, text); err != nil {
		c.t.Fatal(err)
	}
}

// Interrupt sends a signal.
func (c *Child) Interrupt(signal os.Signal) {
	c.t.Helper()
	if err := c.Process.Signal(signal); err != nil {
		c.Process.Kill()
		c.t.Skip("this system cannot interrupt a process: ", err)
	}
}

// Fails waits for the program, which must end with a code and a complaint that has these parts.
func (c *Child) Fails(code int, parts ...string) {
	c.t.Helper()
	c.Wait()
	CheckFailure(c.t, strings.Join(c.Args[1:min(3, len(c.Args))], " "), c.Complaint.String(),
		c.ProcessState.ExitCode(), code, parts...)
}
