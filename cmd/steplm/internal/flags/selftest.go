package flags

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"steplm/cmd/steplm/internal/child"
	"steplm/gpu"
	"steplm/gpu/selftest"
)

// testLimit is the longest that a self-test may take, its driver's start and compiler included.
const testLimit = time.Minute

// TestDevice is the command, a hidden one, that a self-test in a process of its own runs; --device follows.
var TestDevice = []string{"devices", "test"}

// Tested is what it prints.
type Tested struct {
	Note string `json:"note"`
}

// Choice is what gpu.Open takes for the device that is meant: the one that was named; else the first adapter that
// passes its self-test. Those before it are told on standard error, a line each.
func (f DeviceFlag) Choice() (string, error) {
	if f.Device != "" {
		return f.Device, nil
	}
	return firstThatPasses(gpu.Enumerate(), SelfTest, func(a gpu.Adapter, err error) {
		fmt.Fprintf(os.Stderr, "steplm: warning: device %d, %s (%s), is skipped: %v\n", a.Index, a.Name, a.Backend, err)
	})
}

// firstThatPasses is the index of the first adapter that passes, as gpu.Open takes it.
func firstThatPasses(adapters []gpu.Adapter, test func(a gpu.Adapter, others bool) (string, error),
	skipped func(gpu.Adapter, error)) (string, error) {
	const choose = "--device INDEX takes it all the same, --device host computes in plain Go"
	for _, a := range adapters {
		_, err := test(a, len(adapters) > 1)
		if err == nil {
			return strconv.Itoa(a.Index), nil
		}
		if len(adapters) == 1 {
			return "", fmt.Errorf("device %d, %s (%s), the only one: %w; %s", a.Index, a.Name, a.Backend, err, choose)
		}
		skipped(a, err)
	}
	if len(adapters) == 0 {
		return "", gpu.ErrNoAdapter
	}
	return "", fmt.Errorf("none of %d devices passes its self-test; %s", len(adapters), choose)
}

// SelfTest opens an adapter and runs selftest.SelfTest. Where there are others, or its compiler may end a process,
// it does so in a process of its own, so that a driver that ends or holds it up is an error of one line.
func SelfTest(a gpu.Adapter, others bool) (note string, err error) {
	choice := strconv.Itoa(a.Index)
	if others || a.Backend == "dx12" {
		return testInChild(choice)
	}
	d, err := gpu.Open(choice)
	if err != nil {
		return "", err
	}
	defer d.Close()
	return selftest.SelfTest(d)
}

func testInChild(choice string) (note string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("self-test: no program to run it in another process: %w", err)
	}
	bounded, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	c := exec.CommandContext(bounded, self, append(TestDevice, "--device="+choice)...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err = c.Run()
	var answer Tested
	switch {
	case bounded.Err() != nil:
		return "", fmt.Errorf("self-test: not over within %s", testLimit)
	case err != nil:
		return "", errors.New(child.LastWords(stderr.String()))
	}
	if err := json.Unmarshal(stdout.Bytes(), &answer); err != nil {
		return "", fmt.Errorf("self-test: its process answered %q", child.Fold(stdout.String()))
	}
	return answer.Note, nil
}
