package devices

import (
	"encoding/json"
	"os"

	"steplm/cmd/steplm/internal/flags"
	"steplm/gpu/selftest"
)

// devicesTestCmd is what a self-test in a process of its own runs: flags.TestDevice.
type devicesTestCmd struct{ flags.DeviceFlag }

func (c *devicesTestCmd) Run() error {
	d, err := c.Open()
	if err != nil {
		return err
	}
	defer d.Close()
	note, err := selftest.SelfTest(d)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(flags.Tested{Note: note})
}
