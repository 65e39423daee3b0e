// Package gpu is memory that is counted, kernels compiled once, and passes
// that run them in order.
//
// It is the only package that imports the wgpu binding. Two devices implement
// Device: one over wgpu (Vulkan, Metal, DX12) and one in plain Go, which gives
// every kernel its reference meaning.
//
// What Go cannot enforce, and this package therefore does at run time:
//   - a tensor must be freed by the device that made it, once;
//   - a tensor bound for writing must not be bound a second time in one call;
//   - nothing that would abort inside the native library (sizes, limits,
//     empty bindings) may reach it;
//   - every submission of a pass must really have run: a canary chain counts
//     them on the device and is compared at each read-back;
//   - a goroutine must not wait for the pass that it holds open itself.
//
// Where the native library aborts the process all the same (a device lost at a
// submission, say), the process ends with one line and exit code 1.
package gpu

// Device holds tensors and runs passes. All methods may be called from any
// goroutine; one call runs at a time, and a pass is one call from Begin to End.
// A pass belongs to the goroutine that began it: there New, Write, Read and
// another Begin fail until End, since they would wait for ever, and Free takes
// effect at End. A device that lost work or hung is out of use: every later call
// returns an error.
type Device interface {
	// Name is what a person would call the device, with its backend.
	Name() string
	Limits() Limits
	// New makes a tensor of zeros. It fails with the ledger in the message
	// when memory does not suffice.
	New(Spec) (Tensor, error)
	// Free releases a tensor; the zero Tensor is ignored.
	Free(Tensor)
	// Write copies words into t from word offset at on.
	Write(t Tensor, at int, words []uint32) error
	// Read waits for all submitted work and copies words from t.
	Read(t Tensor, at int, words []uint32) error
	// Begin opens a pass; nothing else may be recorded until its End.
	Begin(label string) *Pass
	Ledger() *Ledger
	// Choices say which variants of kernels the device runs.
	Choices() *Choices
	// Own lists the buffers that the device keeps for itself; they are in the
	// ledger from the start.
	Own() []Spec
	// Close releases everything, live tensors too.
	Close()
}

// Limits is what a device can do, in bytes, workgroups and invocations.
type Limits struct {
	CPU             bool  // computes on the CPU: memory is the machine's
	Backed          bool  // a CPU whose buffers take memory before anything is written to them
	Shared          bool  // has workgroup memory worth using
	Binding         int64 // largest bytes bound as one storage buffer
	Buffer          int64 // largest bytes of one buffer
	Groups          int   // workgroups per dimension
	Invocations     int   // invocations per workgroup
	WorkgroupMemory int   // bytes of workgroup memory
	StorageBuffers  int   // storage buffers per kernel
	// Budget is the work (floating point operations) put into one submission
	// before it is handed over, so that a display or a watchdog never waits
	// long; by the kind of the adapter. SetSpeed and SetShare leave it as it is.
	Budget float64
}
