//go:build unix

package main

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// group gives a command a process group of its own, all of which is killed when it is cut off.
func group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// peakOf is the most memory that a process had resident, in bytes.
func peakOf(s *os.ProcessState) int64 {
	u, ok := s.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return u.Maxrss // in bytes there, elsewhere in KiB
	}
	return u.Maxrss * 1024
}
