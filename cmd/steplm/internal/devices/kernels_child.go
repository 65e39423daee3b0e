package devices

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

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
		return line.Seconds, errors.New(fold(line.Error))
	case answered && err == nil:
		return line.Seconds, nil
	case ctx.Err() != nil:
		return 0, fmt.Errorf("kernel %s: stopped after %s of compiling: %w", k.Name,
			time.Since(start).Round(time.Millisecond), ctx.Err())
	case bounded.Err() != nil:
		return 0, fmt.Errorf("kernel %s: not compiled within %s", k.Name, compileLimit)
	case err == nil:
		return 0, fmt.Errorf("kernel %s: the process that compiled it answered %q", k.Name, fold(stdout.String()))
	}
	return 0, fmt.Errorf("kernel %s: compiling it ended the process (%w): %s", k.Name, err, lastWords(stderr.String()))
}

// hiddenText is how the native library reports an error whose text holds a zero byte, as
// those of DX12's compiler do: it panics over the byte and prints all of them as numbers.
var hiddenText = regexp.MustCompile(`NulError\(\d+, \[([0-9, ]*)\]\)`)

// lastWords is, in one line, why a process ended, by its standard error: the error that
// is hidden in a panic, else the panic, else the last line.
func lastWords(stderr string) string {
	if m := hiddenText.FindStringSubmatch(stderr); m != nil {
		var text []byte
		for _, number := range strings.Split(m[1], ", ") {
			if b, err := strconv.Atoi(number); err == nil && b != 0 {
				text = append(text, byte(b))
			}
		}
		return compilerError(string(text))
	}
	last := "it said nothing"
	for _, line := range strings.Split(stderr, "\n") {
		if line = strings.TrimSpace(line); strings.Contains(line, "panicked at") {
			return fold(line)
		} else if line != "" {
			last = strings.TrimPrefix(line, "steplm: error: ")
		}
	}
	return fold(last)
}

// compilerError is the first error of a compiler's message: the others explain it. The
// library's own words, and the file that never was, stand before it.
func compilerError(text string) string {
	for _, line := range strings.Split(text, "\n") {
		if at := strings.Index(line, "error X"); at >= 0 {
			return strings.TrimSpace(line[at:])
		}
	}
	return fold(text)
}

// fold makes one line of several.
func fold(s string) string { return strings.Join(strings.Fields(s), " ") }
