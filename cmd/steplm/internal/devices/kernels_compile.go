package devices

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"steplm/cmd/steplm/internal/flags"
	"steplm/gpu"
	"steplm/internal/clock"
)

// kernelsCompileCmd is what tryInChild runs.
type kernelsCompileCmd struct {
	flags.DeviceFlag
	Kernel string `placeholder:"NAME" help:"One that 'steplm kernels list' names. Default: the one that standard input describes in JSON."`
}

// kernelText is all of a kernel that a compiler sees: any kernel can be handed to
// another process, listed or not.
type kernelText struct {
	Name, Entry, Source string
	Workgroup           [3]int
	Shared              int
	Access              []gpu.Access
}

func textOf(k *gpu.Kernel) kernelText {
	return kernelText{k.Name, k.Entry, k.Source, k.Workgroup, k.Shared, k.Access}
}

func (t kernelText) kernel() *gpu.Kernel {
	return &gpu.Kernel{Name: t.Name, Entry: t.Entry, Source: t.Source, Workgroup: t.Workgroup, Shared: t.Shared,
		Access: t.Access}
}

// compilation is the line that kernelsCompileCmd prints.
type compilation struct {
	Kernel  string  `json:"kernel"`
	Seconds float64 `json:"seconds"` // of compiling alone
	Error   string  `json:"error,omitempty"`
}

func (c *kernelsCompileCmd) Run() error {
	line, err := c.compile()
	if err != nil {
		line.Error = err.Error()
	}
	if e := json.NewEncoder(os.Stdout).Encode(line); err == nil {
		err = e
	}
	return err
}

func (c *kernelsCompileCmd) compile() (line compilation, err error) {
	line.Kernel = c.Kernel
	var given kernelText
	if c.Kernel == "" {
		if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
			return line, fmt.Errorf("no kernel on standard input: %w; name one with --kernel", err)
		}
		line.Kernel = given.Name
	}
	d, err := c.Open()
	if err != nil {
		return line, err
	}
	defer d.Close()
	k := given.kernel()
	if c.Kernel != "" {
		list := kernelsOf(d.Limits())
		i := slices.IndexFunc(list, func(k *gpu.Kernel) bool { return k.Name == c.Kernel })
		if i < 0 {
			return line, fmt.Errorf("no kernel %q among the %d of %s; `steplm kernels list` names them", c.Kernel,
				len(list), d.Name())
		}
		k = list[i]
	}
	start := clock.Now()
	err = gpu.Compile(d, k)
	line.Seconds = clock.Since(start).Seconds()
	return line, err
}
