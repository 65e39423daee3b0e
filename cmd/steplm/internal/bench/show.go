package bench

import (
	"io"
	"os"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
)

// measured measures on the device that the flags choose, and shows what came out.
func measured[B interface{ print(io.Writer) }](f flags.DeviceFlag, json bool,
	measure func(gpu.Device) (B, error)) error {
	dev, err := f.Open()
	if err != nil {
		return err
	}
	defer dev.Close()
	b, err := measure(dev)
	if err != nil {
		return err
	}
	return showBench(json, b)
}

// showBench prints what a benchmark found, for people or for other programs.
func showBench(json bool, b interface{ print(io.Writer) }) error {
	if json {
		return view.JSON(b)
	}
	b.print(os.Stdout)
	return nil
}
