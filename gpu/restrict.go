package gpu

// RestrictBinding lowers the bytes that a device binds as one storage buffer
// and returns what undoes it: so that the code for devices with a low limit can be
// tested on those with a high one.
func RestrictBinding(d Device, bytes int64) (restore func()) {
	switch d := d.(type) {
	case *host:
		before := d.binding
		d.binding = bytes
		return func() { d.binding = before }
	case *wdevice:
		before := d.adapter.Limits.Binding
		d.adapter.Limits.Binding = min(bytes, before)
		return func() { d.adapter.Limits.Binding = before }
	}
	return func() {}
}

// AsGPU has a device that computes on the CPU say that it is a GPU, which has workgroup memory worth using, and returns
// what undoes it: so that the code for GPUs can be tested where there is none.
func AsGPU(d Device) (restore func()) {
	x, ok := d.(*wdevice)
	if !ok || !x.adapter.Limits.CPU {
		return func() {}
	}
	before := x.adapter.Limits
	x.adapter.Limits.CPU, x.adapter.Limits.Shared = false, true
	return func() { x.adapter.Limits = before }
}
