// Package ref is what the kernels of package update compute, in plain Go loops: it exists so that each has a twin
// that shares no code with it, which the host device runs and tests compare with.
//
// What Go cannot enforce: that a twin does what its kernel does to infinities, NaNs and padding, and adds up in an
// order that may differ only as the kernel's tolerance allows.
package ref
