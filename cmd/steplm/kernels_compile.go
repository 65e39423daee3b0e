package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"steplm/gpu"
)

// kernelsCompileCmd is what tryInChild runs.
type kernelsCompileCmd struct {
	DeviceFlag
	Kernel string `required:"" placeholder:"NAME" help:"One that 'steplm kernels list' names."`
}

// compilation is the line that kernelsCompileCmd prints.
type compilation struct {
	Kernel  string  `json:"kernel"`
	Seconds float64 `json:"seconds"` // of compiling alone
	Error   string  `json:"error,omitempty"`
}

func (c *kernelsCompileCmd) Run() error {
	seconds, err := c.compile()
	line := compilation{Kernel: c.Kernel, Seconds: seconds}
	if err != nil {
		line.Error = err.Error()
	}
	if e := json.NewEncoder(os.Stdout).Encode(line); err == nil {
		err = e
	}
	return err
}

func (c *kernelsCompileCmd) compile() (seconds float64, err error) {
	d, err := c.Open()
	if err != nil {
		return 0, err
	}
	defer d.Close()
	list := kernelsOf(d.Limits())
	i := slices.IndexFunc(list, func(k *gpu.Kernel) bool { return k.Name == c.Kernel })
	if i < 0 {
		return 0, fmt.Errorf("no kernel %q among the %d of %s; `steplm kernels list` names them", c.Kernel, len(list), d.Name())
	}
	start := time.Now()
	err = gpu.Compile(d, list[i])
	return time.Since(start).Seconds(), err
}
