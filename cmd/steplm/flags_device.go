package main

import "steplm/gpu"

// DeviceFlag chooses where to compute.
type DeviceFlag struct {
	Device string `placeholder:"DEVICE" help:"Index, backend (vulkan, metal, dx12) or part of the name of a device that 'steplm devices' lists, or 'host' for plain Go. Default: the first listed."`
}

// Open opens the chosen device; the caller closes it.
func (f DeviceFlag) Open() (gpu.Device, error) { return gpu.Open(f.Device) }
