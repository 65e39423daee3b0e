package devices

import (
	"fmt"
	"slices"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/gpu/selftest"
	"steplm/wgsl"
	"steplm/wgsl/update"
)

// KernelsCmd is hidden: it is for checks, and for the program itself.
type KernelsCmd struct {
	List    kernelsListCmd    `cmd:"" help:"List the kernels that a device may be given."`
	Compile kernelsCompileCmd `cmd:"" help:"Compile one of them, or one given in JSON, and print a line of JSON."`
	Check   kernelsCheckCmd   `cmd:"" help:"Compile all of them, each in a process of its own."`
}

// kernelsOf lists every kernel that may run on a device with such limits.
func kernelsOf(l gpu.Limits) []*gpu.Kernel {
	return slices.Concat(gpu.OwnKernels(), selftest.Kernels(), wgsl.Kernels(l), update.Kernels())
}

type kernelsListCmd struct {
	flags.DeviceFlag
	JSON bool `help:"Print JSON."`
}

func (c *kernelsListCmd) Run() error {
	d, err := c.Open()
	if err != nil {
		return err
	}
	defer d.Close()
	names := []string{}
	for _, k := range kernelsOf(d.Limits()) {
		names = append(names, k.Name)
	}
	if c.JSON {
		return view.JSON(map[string]any{"device": d.Name(), "kernels": names})
	}
	for _, name := range names {
		fmt.Println(name)
	}
	return nil
}
