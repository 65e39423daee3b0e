package gpu

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
	defer w.turn.give()
	if err := w.sync(); err != nil {
		return err
	}
	w.forgetKernels()
	giveBack() // compilers free a lot in small pieces, which otherwise stay with the process
	return nil
}
