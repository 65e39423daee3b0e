package reduce

import "steplm/gpu"

// Gradients sums a step's gradients over all processes, those that are complete while others are computed.
type Gradients struct {
	r       *Reducer
	d       gpu.Device
	buckets [][]gpu.Tensor // whose sums are not begun
	ready   []gpu.Tensor   // complete, and not enough for a bucket
	values  int            // in them
}

// Gradients begins the sums of a step whose gradients a device has; nil where there is one process.
func (r *Reducer) Gradients(d gpu.Device) *Gradients {
	if r.Size() == 1 {
		return nil
	}
	return &Gradients{r: r, d: d}
}

// Complete takes a gradient that nothing later in the pass adds to. When there is enough to send, what is recorded is
// handed to the device, which computes it before the sums are begun; what comes after it the device computes while
// they are on their way.
func (g *Gradients) Complete(p *gpu.Pass, grad gpu.Tensor) {
	g.ready, g.values = append(g.ready, grad), g.values+grad.Elements()
	if !g.r.enough(g.values) {
		return
	}
	g.buckets = append(g.buckets, g.ready)
	g.ready, g.values = nil, 0
	if !g.r.options.NoOverlap {
		p.Between(g.d, g.begin)
	}
}

// begin puts back the sums that are there, and begins those that are due.
func (g *Gradients) begin() error {
	if err := g.r.takeSums(g.d); err != nil {
		return err
	}
	for _, list := range g.buckets {
		if err := g.r.beginSum(g.d, list); err != nil {
			return err
		}
	}
	g.buckets = nil
	return nil
}

// End waits until the sums of all gradients are back on the device.
func (g *Gradients) End() error {
	if g.ready != nil {
		g.buckets = append(g.buckets, g.ready)
	}
	if err := g.begin(); err != nil {
		return err
	}
	return g.r.awaitSums(g.d)
}
