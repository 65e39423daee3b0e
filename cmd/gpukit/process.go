package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// command is a program to run.
type command struct {
	args []string
	dir  string
	env  []string     // besides the kit's
	line func(string) // unless nil, hears every line of standard output as it comes
	// started, unless nil, is called once it runs.
	started func(p *os.Process)
}

// ended is what a program left.
type ended struct {
	stdout string
	words  string // standard error
	code   int    // exit code; -1: by a signal, or it never began
	peak   int64  // bytes resident at once; 0 where the system does not say
	took   time.Duration
}

// start runs a command until it ends or ctx does, when it is killed with all it has started, and
// logs what it said. err is nil only after exit code 0.
func (k *kit) start(ctx context.Context, c command) (e ended, err error) {
	began := time.Now()
	fmt.Fprintf(k.log, "\n$ %s\n", strings.Join(c.args, " "))
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), append(k.env, c.env...)...)
	group(cmd)
	cmd.WaitDelay = 5 * time.Second // A grandchild may hold the pipes open.
	var out, words strings.Builder
	cmd.Stderr = io.MultiWriter(&words, k.log)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return e, err
	}
	if err := cmd.Start(); err != nil {
		e.code = -1
		return e, fmt.Errorf("start %s: %w", c.args[0], err)
	}
	if c.started != nil {
		c.started(cmd.Process)
	}
	lines := bufio.NewReader(pipe)
	for {
		text, readErr := lines.ReadString('\n')
		out.WriteString(text)
		io.WriteString(k.log, text)
		if c.line != nil && text != "" {
			c.line(strings.TrimRight(text, "\r\n"))
		}
		if readErr != nil {
			break
		}
	}
	err = cmd.Wait()
	e = ended{stdout: out.String(), words: words.String(), code: cmd.ProcessState.ExitCode(),
		peak: peakOf(cmd.ProcessState), took: time.Since(began)}
	fmt.Fprintf(k.log, "[exit code %d after %.1f s]\n", e.code, e.took.Seconds())
	if ctx.Err() != nil {
		return e, ctx.Err()
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return e, fmt.Errorf("%s: exit code %d: %s", strings.Join(c.args[1:min(3, len(c.args))], " "), e.code,
			lastLine(e.words))
	}
	return e, err
}

// startJSON runs a command and decodes what it prints.
func (k *kit) startJSON(ctx context.Context, c command, into any) (ended, error) {
	e, err := k.start(ctx, c)
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal([]byte(e.stdout), into); err != nil {
		return e, fmt.Errorf("%s printed no JSON: %w", strings.Join(c.args[1:], " "), err)
	}
	return e, nil
}

// lastLine is the last line with text.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
