package devices

type Group struct {
	List devicesCmd     `cmd:"" default:"withargs" help:"List the devices and test each (default)."`
	Tune devicesTuneCmd `cmd:"" help:"Find out which variants of kernels a device is fastest with, ahead of a run."`
	Test devicesTestCmd `cmd:"" hidden:"" help:"Run a device's self-test."`
}
