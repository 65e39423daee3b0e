package gpu

import (
	"fmt"

	"steplm/gpu/internal/native"
)

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
	defer w.turn.Give()
	_, err := w.pipeline(k)
	return err
}

// OwnKernels are the kernels that wgpu devices run for themselves.
func OwnKernels() []*Kernel { return []*Kernel{&canaryKernel} }

// Trim has a device forget the kernels that it compiled and what it bound to them: they
// are compiled again when they are next called. Compiled kernels are memory that no
// ledger counts, and a tuner leaves many that nothing will call.
func Trim(d Device) error {
	w, ok := d.(*wdevice)
	if !ok {
		return nil
	}
	if err := w.enter(); err != nil {
		return err
	}
	defer w.turn.Give()
	if err := w.sync(); err != nil {
		return err
	}
	w.forgetKernels()
	native.GiveBack() // compilers free a lot in small pieces, which otherwise stay with the process
	return nil
}
