package devices

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"steplm/cmd/steplm/internal/child"
	"steplm/gpu"
)

// compileLimit is the longest that one kernel may take to compile.
const compileLimit = 2 * time.Minute

// tryInChild compiles a kernel on a device (as --device has it) in a process of its own
// and returns the seconds that it took. What would end or hold up this process, such
// as an error of DX12's compiler, is an error of one line, and so are compileLimit and
// the end of ctx.
func tryInChild(ctx context.Context, device string, k *gpu.Kernel) (seconds float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("kernel %s: no program to compile it in another process: %w", k.Name, err)
	}
	text, err := json.Marshal(textOf(k))
	if err != nil {
		return 0, fmt.Errorf("kernel %s: %w", k.Name, err)
	}
	bounded, cancel := context.WithTimeout(ctx, compileLimit)
	defer cancel()
	start := time.Now()
	c := exec.CommandContext(bounded, self, "kernels", "compile", "--device="+device)
	var stdout, stderr bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(text), &stdout, &stderr
	err = c.Run()
	var line compilation
	answered := json.Unmarshal(stdout.Bytes(), &line) == nil && line.Kernel == k.Name
	switch {
	case answered && line.Error != "":
		return line.Seconds, errors.New(child.Fold(line.Error))
	case answered && err == nil:
		return line.Seconds, nil
	case ctx.Err() != nil:
		return 0, fmt.Errorf("kernel %s: stopped after %s of compiling: %w", k.Name,
			time.Since(start).Round(time.Millisecond), ctx.Err())
	case bounded.Err() != nil:
		return 0, fmt.Errorf("kernel %s: not compiled within %s", k.Name, compileLimit)
	case err == nil:
		return 0, fmt.Errorf("kernel %s: the process that compiled it answered %q", k.Name, child.Fold(stdout.String()))
	}
	return 0, fmt.Errorf("kernel %s: compiling it ended the process (%w): %s", k.Name, err,
		child.LastWords(stderr.String()))
}
