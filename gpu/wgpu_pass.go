package gpu

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/rajveermalviya/go-webgpu/wgpu"

	"steplm/gpu/internal/native"
	"steplm/internal/clock"
)

// submission is what is being recorded and not handed over yet.
type submission struct {
	encoder *wgpu.CommandEncoder
	compute *wgpu.ComputePassEncoder
	set     *wgpu.ComputePipeline // in compute
	slot    int
	data    []byte // params of the slots used
	work    float64
	timed   []Span // dispatches with timestamps
}

func (d *wdevice) Begin(label string) *Pass {
	if err := d.turn.TakePass(label); err != nil {
		return failedPass(label, d, err)
	}
	if d.dead != nil {
		d.turn.GivePass()
		return failedPass(label, d, d.dead)
	}
	d.label = label
	recorded := d.trace.begin("record " + label)
	return &Pass{label: label, limits: d.Limits(), choices: &d.choices, run: d.record, end: func(failed bool) error {
		defer d.turn.GivePass()
		defer recorded()
		defer func() {
			for _, t := range d.later {
				d.free(t)
			}
			d.later = nil
		}()
		if d.dead != nil { // closed or lost meanwhile
			return d.dead
		}
		if failed {
			d.discard()
			return nil
		}
		return d.handOver()
	}}
}

// record splits a call into dispatches within the budget and the limit on
// workgroups, by origin.
func (d *wdevice) record(c Call) error {
	if d.dead != nil {
		return d.dead
	}
	b, err := d.bind(&c)
	if err != nil {
		return err
	}
	part, each := c.Groups, c.Work
	if budget := d.budget(); each > budget || max(part[0], part[1], part[2]) > d.adapter.Limits.Groups {
		part, each = c.parts(budget, d.adapter.Limits.Groups)
	}
	for z := 0; z < c.Groups[2]; z += part[2] {
		for y := 0; y < c.Groups[1]; y += part[1] {
			for x := 0; x < c.Groups[0]; x += part[0] {
				n := [3]int{min(part[0], c.Groups[0]-x), min(part[1], c.Groups[1]-y), min(part[2], c.Groups[2]-z)}
				if err := d.dispatch(&c, b, [3]int{x, y, z}, n, each); err != nil {
					return fmt.Errorf("kernel %s: %s", c.Kernel.Name, oneLine(err))
				}
			}
		}
	}
	return nil
}

// parts is the workgroups of a part of the call that stays within a budget and a limit per
// dimension, and the work of it.
func (c *Call) parts(budget float64, limit int) (part [3]int, work float64) {
	total := float64(c.Groups[0]) * float64(c.Groups[1]) * float64(c.Groups[2])
	part = c.Groups
	for i := 2; i >= 0; i-- {
		// Workgroups of this dimension that stay within the budget.
		rest := 1.0
		for j := range i {
			rest *= float64(part[j])
		}
		for j := i + 1; j < 3; j++ {
			rest *= float64(part[j])
		}
		fit := limit
		if c.Work > 0 {
			fit = int(min(float64(fit), max(1, math.Floor(budget*total/(c.Work*rest)))))
		}
		part[i] = min(part[i], fit)
	}
	return part, c.Work * float64(part[0]) * float64(part[1]) * float64(part[2]) / total
}

// dispatch begins another submission first where the budget or the params
// slots, one of which is the canary's, would not suffice.
func (d *wdevice) dispatch(c *Call, b *bound, origin, n [3]int, work float64) error {
	if d.slot >= slots-1 || (d.work > 0 && d.work+work > d.budget()) {
		if err := d.handOver(); err != nil {
			return err
		}
		// The library keeps a command pool and a copy of the params per submission
		// until it is known to have run, and a large step makes thousands; with
		// hundreds of milliseconds of work queued, the wait costs next to nothing.
		if d.pending >= maxPending || d.unflushed > flushBytes {
			if err := d.sync(); err != nil {
				return err
			}
		}
	}
	if err := d.open(); err != nil {
		return err
	}
	d.work += work
	if d.trace.active() {
		return d.putTraced(c, b, origin, n, work)
	}
	d.put(b, origin, n, c.Params)
	return nil
}

// budget is the work of one submission.
func (d *wdevice) budget() float64 { return d.pace.budget(d.adapter.Limits.Budget) }

// handOver hands over what was recorded. A device that is shared is waited for, and
// then left idle.
func (d *wdevice) handOver() error {
	if d.encoder == nil {
		return nil
	}
	start := clock.Now()
	if err := d.flush(nil); err != nil || !d.pace.shared() {
		return err
	}
	if err := d.sync(); err != nil {
		return err
	}
	d.pace.rest(clock.Since(start))
	return nil
}

// open begins a submission, if none is open, by clearing new buffers.
func (d *wdevice) open() error {
	if d.encoder != nil {
		return nil
	}
	enc, err := d.dev.CreateCommandEncoder(&wgpu.CommandEncoderDescriptor{Label: "pass"})
	if err == nil {
		if err = d.watch.Take(); err != nil {
			enc.Release()
		}
	}
	if err != nil {
		return err
	}
	for _, a := range d.fresh {
		if err := enc.ClearBuffer(a.buf, 0, uint64(a.spec.Bytes())); err != nil {
			enc.Release()
			return err
		}
	}
	d.encoder, d.compute = enc, enc.BeginComputePass(nil)
	return nil
}

// put records one dispatch into the submission, which has room.
func (d *wdevice) put(b *bound, origin, n [3]int, params []uint32) {
	slot := d.data[d.slot*slotBytes : (d.slot+1)*slotBytes]
	for i, o := range origin {
		binary.LittleEndian.PutUint32(slot[i*4:], uint32(o))
	}
	copy(slot[12:], bytesOf(params))
	changed := b.pipe
	if d.set == changed {
		changed = nil
	}
	native.Dispatch(d.compute, changed, b.group, d.slot*slotBytes, n)
	d.set = b.pipe
	d.slot++
}

// discard drops what was recorded and not handed over.
func (d *wdevice) discard() {
	if d.encoder == nil {
		return
	}
	d.compute.Release()
	d.encoder.Release()
	d.submission = submission{data: d.data}
}

// flush ends the submission with its canary, and the copies that tail records if
// there is one, and hands it over. After an error nothing of it has been. What was
// timed is waited for.
func (d *wdevice) flush(tail func(*wgpu.CommandEncoder) error) error {
	if d.encoder == nil {
		return nil
	}
	timed, start := d.timed, clock.Now()
	if err := d.send(tail); err != nil || len(timed) == 0 {
		return err
	}
	return d.collect(timed, start)
}

func (d *wdevice) send(tail func(*wgpu.CommandEncoder) error) error {
	defer d.discard()
	index := d.submissions + 1
	b, err := d.bind(&Call{Kernel: &canaryKernel, Tensors: []Tensor{d.canaryTensor}})
	if err != nil {
		return err
	}
	d.put(b, [3]int{}, [3]int{1, 1, 1}, []uint32{index})
	if err := d.compute.End(); err != nil {
		return err
	}
	if err := d.resolve(); err != nil {
		return err
	}
	if tail != nil {
		if err := tail(d.encoder); err != nil {
			return err
		}
	}
	cmd, err := d.finish()
	if err != nil {
		return err
	}
	if err := d.upload(d.params, 0, d.data[:d.slot*slotBytes]); err != nil {
		cmd.Release()
		return err
	}
	d.fresh = nil
	d.submissions, d.chain = index, d.chain*31+index
	d.queued += d.work
	d.pending++
	if err := d.submit(cmd); err != nil {
		return fmt.Errorf("submission %d: %w", index, err)
	}
	d.dev.Poll(false, nil)
	return nil
}

// finish closes the encoder; its mistakes show only here.
func (d *wdevice) finish() (*wgpu.CommandBuffer, error) {
	cmd, err := d.encoder.Finish(nil)
	if err == nil {
		if err = d.watch.Take(); err != nil {
			cmd.Release()
		}
	}
	return cmd, err
}

// submit hands commands over. An error leaves open whether they will run.
func (d *wdevice) submit(cmd *wgpu.CommandBuffer) error {
	defer cmd.Release()
	defer d.trace.begin("submit")() // some drivers block here
	d.queue.Submit(cmd)
	if err := d.watch.Take(); err != nil {
		return d.die(err)
	}
	return nil
}

// canaryKernel chains the submission's index into the canary.
var canaryKernel = Kernel{
	Name: "canary", Workgroup: [3]int{1, 1, 1}, Access: []Access{Write},
	Source: `struct Params { origin: vec3<u32>, index: u32 }
@group(0) @binding(0) var<storage, read_write> chain: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;
@compute @workgroup_size(1, 1, 1)
fn canary() { chain[0] = chain[0] * 31u + params.index; }
`,
	Host: func(a Args) { a.U(0)[0] = a.U(0)[0]*31 + uint32(a.Int(0)) },
}
