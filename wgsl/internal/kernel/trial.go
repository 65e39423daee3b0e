package kernel

import "steplm/gpu"

// Trial is a call of a class on tensors of its own.
type Trial struct {
	Outputs []gpu.Tensor
	Work    float64                           // operations of one run
	Run     func(p *gpu.Pass, variant string) // records one
	Check   func() error                      // compares a sample of what the last run left with the same in float64
	dev     gpu.Device
	tensors []gpu.Tensor
	err     error
}

// NewTrial is a trial on a device, without tensors yet, whose run is so many operations.
func NewTrial(d gpu.Device, work float64) *Trial { return &Trial{Work: work, dev: d} }

// Free releases the tensors.
func (t *Trial) Free() {
	for _, x := range t.tensors {
		t.dev.Free(x)
	}
	t.tensors = nil
}

// Tensor adds one to the trial, filled with values from -0.5 to 0.5, next to none of them
// so small that a device would take longer over it. The first error sticks.
func (t *Trial) Tensor(name string, dtype gpu.DType, seed uint64, rows, cols int) (x gpu.Tensor, values []float32) {
	if t.err != nil {
		return x, nil
	}
	if x, t.err = t.dev.New(gpu.Spec{Name: "trial." + name, Class: gpu.Scratch, DType: dtype,
		Shape: []int{rows, cols}}); t.err != nil {
		return x, nil
	}
	t.tensors = append(t.tensors, x)
	values = make([]float32, rows*cols)
	for i := range values {
		seed = seed*6364136223846793005 + 1442695040888963407
		v := float32(seed>>40)/(1<<24) - 0.5
		if dtype == gpu.BF16 {
			v = gpu.FromBF16(gpu.BF16Bits(v))
		}
		values[i] = v
	}
	t.err = gpu.WriteF32(t.dev, x, values)
	return x, values
}

// Indices adds a tensor of such indices to the trial.
func (t *Trial) Indices(name string, values []uint32, shape ...int) (x gpu.Tensor) {
	if t.err != nil {
		return x
	}
	if x, t.err = t.dev.New(gpu.Spec{Name: "trial." + name, Class: gpu.Scratch, DType: gpu.U32,
		Shape: shape}); t.err != nil {
		return x
	}
	t.tensors = append(t.tensors, x)
	t.err = t.dev.Write(x, 0, values)
	return x
}

// Done is the trial, or the error that stuck.
func (t *Trial) Done() (*Trial, error) {
	if t.err != nil {
		t.Free()
		return nil, t.err
	}
	return t, nil
}

// TrialWork is the most work of one call that is tried out: some of them fit into one
// submission, so that several variants get several turns in a second.
func TrialWork(l gpu.Limits) float64 { return l.Budget / 4 }
