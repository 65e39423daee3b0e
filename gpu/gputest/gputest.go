// Package gputest runs a test on every device. A machine that must have a GPU
// says so with STEPLM_GPU=require: then a missing adapter fails instead of
// skipping.
package gputest

import (
	"os"
	"sync"
	"testing"

	"steplm/gpu"
)

var open = sync.OnceValues(func() (gpu.Device, error) { return gpu.Open(os.Getenv("STEPLM_DEVICE")) })

var running sync.Mutex

// EachDevice runs test on the host and on the preferred adapter (or the one
// that STEPLM_DEVICE names), and fails when it leaves tensors behind.
func EachDevice(t *testing.T, test func(t *testing.T, d gpu.Device)) {
	t.Helper()
	t.Run("host", func(t *testing.T) { test(t, gpu.NewHost()) })
	t.Run("gpu", func(t *testing.T) {
		d := Adapter(t)
		before := d.Ledger().Total()
		t.Cleanup(func() { // after the cleanups that free the test's tensors
			if after := d.Ledger().Total(); after != before && !t.Failed() {
				t.Errorf("the test left %d bytes on the device", after-before)
			}
		})
		test(t, d)
	})
}

// Adapter is the preferred adapter's device, shared by the tests of a package,
// one at a time.
func Adapter(t testing.TB) gpu.Device {
	t.Helper()
	d, err := open()
	if err != nil {
		if os.Getenv("STEPLM_GPU") == "require" {
			t.Fatalf("STEPLM_GPU=require: %v", err)
		}
		t.Skip(err)
	}
	running.Lock()
	t.Cleanup(running.Unlock)
	return d
}

// Sample is what a test goes through of a list whose cases each compile kernels: all of it, or with
// -short every third, from the first on, so that a device that is at hand for minutes meets some of
// each kind.
func Sample[T any](list []T) []T {
	if !testing.Short() {
		return list
	}
	var some []T
	for i := 0; i < len(list); i += 3 {
		some = append(some, list[i])
	}
	return some
}

// Tensor makes an F32 tensor with values (nil: zeros) that is freed with the
// test.
func Tensor(t testing.TB, d gpu.Device, name string, values []float32, shape ...int) gpu.Tensor {
	t.Helper()
	return TensorOf(t, d, gpu.F32, name, values, shape...)
}

// TensorOf is Tensor with a storage type, F32 or BF16.
func TensorOf(t testing.TB, d gpu.Device, dtype gpu.DType, name string, values []float32, shape ...int) gpu.Tensor {
	t.Helper()
	x := newTensor(t, d, gpu.Spec{Name: name, Class: gpu.Scratch, DType: dtype, Shape: shape})
	if values != nil {
		if err := gpu.WriteF32(d, x, values); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// Indices makes a U32 tensor with values.
func Indices(t testing.TB, d gpu.Device, name string, values []uint32) gpu.Tensor {
	t.Helper()
	x := newTensor(t, d, gpu.Spec{Name: name, Class: gpu.Scratch, DType: gpu.U32, Shape: []int{len(values)}})
	if err := d.Write(x, 0, values); err != nil {
		t.Fatal(err)
	}
	return x
}

func newTensor(t testing.TB, d gpu.Device, s gpu.Spec) gpu.Tensor {
	t.Helper()
	x, err := d.New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Free(x) })
	return x
}

// Read is the values of an F32 or BF16 tensor, without padding.
func Read(t testing.TB, d gpu.Device, x gpu.Tensor) []float32 {
	t.Helper()
	f, err := gpu.ReadF32(d, x)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// All reports whether tests that take minutes and rarely break are wanted: with STEPLM_CI=all they are.
func All() bool { return os.Getenv("STEPLM_CI") == "all" }

// Long skips a test that takes minutes and rarely breaks, unless all are wanted.
func Long(t testing.TB) {
	t.Helper()
	if !All() {
		t.Skip("it takes minutes: STEPLM_CI=all runs it")
	}
}
