package gpu

import "fmt"

// Compile makes a kernel's pipeline on d, as the kernel's first call would, and runs
// nothing. In plain Go there is nothing to make. DX12's compiler may take minutes, and
// end the process where another returns an error.
func Compile(d Device, k *Kernel) error {
	w, ok := d.(*wdevice)
	if !ok {
		return checkKernel(k, d.Limits())
	}
	if err := w.enter(); err != nil {
		return fmt.Errorf("compile kernel %s: %w", k.Name, err)
	}
	defer w.turn.give()
	_, err := w.pipeline(k)
	return err
}

// OwnKernels are the kernels that wgpu devices run for themselves and in SelfTest.
func OwnKernels() []*Kernel { return []*Kernel{&canaryKernel, &loopKernel, &sumKernel, &fmaKernel} }
