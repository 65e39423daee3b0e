// Package reduce is the seam at which the processes of a parallel run meet: between the gradients
// of a step and its update.
//
// It exists so that the trainer knows of other processes only that sums are over all of them.
// What Go cannot enforce: that all processes call with as much, in the same order, and that a
// sum has the same bits in each of them, without which their weights drift apart.
package reduce

import "steplm/gpu"

// Reducer sums over the processes of a run. nil stands for one process alone.
type Reducer interface {
	// Sum replaces each count, and each element of each tensor on the device, by its sum over
	// all processes.
	Sum(d gpu.Device, counts []int64, tensors ...gpu.Tensor) error
}
