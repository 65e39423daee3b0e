package clitest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Lab is machines of a network, m1, m2 and so on, that this one is made into, see .ci/lab.
type Lab struct {
	Folder  string
	Command string // the command, in a file that every machine can start
	t       *testing.T
}

// NewLab makes so many machines. It takes root, and programs that few have: the test is skipped, unless they are asked
// for by STEPLM_LAB=require.
func NewLab(t *testing.T, n int) *Lab {
	t.Helper()
	if os.Getenv("STEPLM_LAB") != "require" {
		t.Skip("it takes machines, which `just test-lab` makes out of this one")
	}
	l := &Lab{Folder: t.TempDir(), t: t}
	l.Command = filepath.Join(l.Folder, "command")
	program := "#!/bin/sh\nexport " + AsCommand + "=1\nexec '" + os.Args[0] + "' \"$@\"\n"
	if err := os.WriteFile(l.Command, []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Do("down") })
	l.Do("up", strconv.Itoa(n))
	return l
}

// Do has .ci/lab do something.
func (l *Lab) Do(words ...string) {
	l.t.Helper()
	if out, err := l.lab(context.Background(), words).CombinedOutput(); err != nil {
		l.t.Fatalf("lab %s: %v: %s", strings.Join(words, " "), err, out)
	}
}

func (l *Lab) lab(ctx context.Context, words []string) *exec.Cmd {
	return exec.CommandContext(ctx, "../../../../.ci/lab", append([]string{l.Folder}, words...)...)
}

// On is a call of a program on a machine.
func (l *Lab) On(machine string, words ...string) *exec.Cmd {
	return l.lab(l.t.Context(), append([]string{"on", machine}, words...))
}

// Mpirun is a call of the command by a launcher on m1, in a process on each of the first n machines. They must have
// sshd, by Do("ssh").
func (l *Lab) Mpirun(launcher string, n int, args ...string) *exec.Cmd {
	l.t.Helper()
	words := append([]string{launcher, "-hostfile", filepath.Join(l.Folder, "machines"), "-n", strconv.Itoa(n),
		l.Command}, args...)
	c := l.On("m1", words...)
	text := Contents(l.t, l.Folder, "mpirun.env")
	c.Env = append(os.Environ(), strings.Split(strings.TrimSpace(text), "\n")...)
	return c
}

// Slurm is a call of one of Slurm's programs on m1. It must have begun, by Do("slurm").
func (l *Lab) Slurm(words ...string) *exec.Cmd {
	c := l.On("m1", words...)
	c.Env = append(os.Environ(), "SLURM_CONF="+filepath.Join(l.Folder, "slurm.conf"), "STEPLM="+l.Command)
	return c
}
