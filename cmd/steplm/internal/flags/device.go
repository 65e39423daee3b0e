package flags

import (
	"steplm/gpu"
	"steplm/gpu/memory"
)

// DeviceFlag chooses where to compute, and for how much of the time.
type DeviceFlag struct {
	Device   string  `placeholder:"DEVICE" help:"Index, backend (vulkan, metal, dx12) or part of the name of a device that 'steplm devices' lists, or 'host' for plain Go. Default: the first listed that passes its self-test."`
	GPUShare float64 `name:"gpu-share" default:"1" placeholder:"SHARE" help:"Share of the time for which the device may work, above 0 and at most 1; below 1 a display has room. Default: ${default}."`
}

// Open opens the chosen device; the caller closes it.
func (f DeviceFlag) Open() (gpu.Device, error) {
	return f.Paced(func() (gpu.Device, error) {
		choice, err := f.Choice()
		if err != nil {
			return nil, err
		}
		return gpu.Open(choice)
	})
}

// Paced opens a device and gives it its share.
func (f DeviceFlag) Paced(open func() (gpu.Device, error)) (gpu.Device, error) {
	if !(f.GPUShare > 0 && f.GPUShare <= 1) { // before a device is there, and so that NaN fails
		return nil, Usagef("--gpu-share %g: it must be above 0 and at most 1", f.GPUShare)
	}
	dev, err := open()
	if err != nil {
		return nil, err
	}
	if err := gpu.SetShare(dev, f.GPUShare); err != nil {
		dev.Close()
		return nil, err
	}
	return dev, nil
}

// gpuInGeneral is a device of `plan` that is none: a GPU, with memory of its own.
const gpuInGeneral = "gpu"

// ProcessOverhead is what the process takes of a device's memory, where that is the same: on the device that a choice
// names, or that is taken by default. "gpu" is any GPU.
func ProcessOverhead(choice string) (bytes int64, err error) {
	switch choice {
	case gpuInGeneral:
		return 0, nil
	case "host":
		return memory.ProcessOverhead, nil
	case "":
		if list := gpu.Enumerate(); len(list) == 0 || !list[0].Limits.CPU {
			return 0, nil
		}
		return memory.ProcessOverhead, nil
	}
	dev, err := gpu.Open(choice)
	if err != nil {
		return 0, err
	}
	defer dev.Close()
	if dev.Limits().CPU {
		return memory.ProcessOverhead, nil
	}
	return 0, nil
}
