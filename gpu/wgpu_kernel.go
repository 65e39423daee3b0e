package gpu

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rajveermalviya/go-webgpu/wgpu"
)

// pipeline is a compiled kernel.
type pipeline struct {
	pipe   *wgpu.ComputePipeline
	layout *wgpu.BindGroupLayout
}

func (p pipeline) release() {
	p.pipe.Release()
	p.layout.Release()
}

// pipeline compiles a kernel once.
func (d *wdevice) pipeline(k *Kernel) (pipeline, error) {
	if p, ok := d.pipelines[k]; ok {
		return p, nil
	}
	p, err := d.compile(k)
	if err != nil {
		return p, fmt.Errorf("kernel %s does not compile on %s: %w", k.Name, d.Name(), err)
	}
	d.pipelines[k] = p
	return p, nil
}

func (d *wdevice) compile(k *Kernel) (pipeline, error) {
	if err := checkKernel(k, d.Limits()); err != nil {
		return pipeline{}, err
	}
	mod, err := d.dev.CreateShaderModule(&wgpu.ShaderModuleDescriptor{Label: k.Name,
		WGSLDescriptor: &wgpu.ShaderModuleWGSLDescriptor{Code: k.Source}})
	if err != nil {
		return pipeline{}, err
	}
	defer mod.Release()
	// Explicit: the automatic layout takes an unwritten binding for read-only
	// and gives the params no dynamic offset.
	entries := make([]wgpu.BindGroupLayoutEntry, 0, len(k.Access)+1)
	for i, a := range k.Access {
		t := wgpu.BufferBindingType_ReadOnlyStorage
		if a == Write {
			t = wgpu.BufferBindingType_Storage
		}
		entries = append(entries, wgpu.BindGroupLayoutEntry{Binding: uint32(i), Visibility: wgpu.ShaderStage_Compute,
			Buffer: wgpu.BufferBindingLayout{Type: t}})
	}
	entries = append(entries, wgpu.BindGroupLayoutEntry{Binding: uint32(len(k.Access)),
		Visibility: wgpu.ShaderStage_Compute,
		Buffer:     wgpu.BufferBindingLayout{Type: wgpu.BufferBindingType_Uniform, HasDynamicOffset: true}})
	layout, err := d.dev.CreateBindGroupLayout(&wgpu.BindGroupLayoutDescriptor{Label: k.Name, Entries: entries})
	if err != nil {
		return pipeline{}, err
	}
	pl, err := d.dev.CreatePipelineLayout(&wgpu.PipelineLayoutDescriptor{Label: k.Name,
		BindGroupLayouts: []*wgpu.BindGroupLayout{layout}})
	if err != nil {
		layout.Release()
		return pipeline{}, err
	}
	defer pl.Release()
	pipe, err := d.dev.CreateComputePipeline(&wgpu.ComputePipelineDescriptor{Label: k.Name, Layout: pl,
		Compute: wgpu.ProgrammableStageDescriptor{Module: mod, EntryPoint: k.entry()}})
	if err != nil {
		layout.Release()
		return pipeline{}, errors.New(oneLine(err))
	}
	p := pipeline{pipe, layout}
	if err := d.watch.Take(); err != nil { // what was not a mistake in the kernel: memory, the driver
		p.release()
		return pipeline{}, err
	}
	return p, nil
}

// bound is a kernel with its tensors, ready to be dispatched.
type bound struct {
	key   groupKey
	pipe  *wgpu.ComputePipeline
	group *wgpu.BindGroup // nil: a tensor of it was freed
	next  *bound          // what followed it the last time, nil: nothing yet
}

// groupKey is what a bind group is made of: the kernel and, of each tensor, its
// memory, where it begins there and its length. It is a value, so that looking one up
// allocates nothing.
type groupKey struct {
	kernel *Kernel
	parts  [MaxStorage]groupPart
}

type groupPart struct {
	id        uint64
	at, words int
}

func (t *Tensor) part() groupPart { return groupPart{t.id, t.at, t.words} }

func keyOf(c *Call) groupKey {
	key := groupKey{kernel: c.Kernel}
	for i := range c.Tensors {
		key.parts[i] = c.Tensors[i].part()
	}
	return key
}

// is reports whether b is what a call needs.
func (b *bound) is(c *Call) bool {
	if b == nil || b.group == nil || b.key.kernel != c.Kernel {
		return false
	}
	for i := range c.Tensors {
		if b.key.parts[i] != c.Tensors[i].part() {
			return false
		}
	}
	return true
}

// bind returns a kernel and its tensors, bound once. A step records what the step
// before did: so what followed the call before this one is looked at first.
func (d *wdevice) bind(c *Call) (*bound, error) {
	if b := d.last; b != nil && b.next.is(c) {
		d.last = b.next
		return d.last, nil
	}
	b, ok := d.groups[keyOf(c)]
	if !ok {
		var err error
		if b, err = d.makeBound(c); err != nil {
			return nil, err
		}
	}
	if d.last != nil {
		d.last.next = b
	}
	d.last = b
	return b, nil
}

// makeBound compiles the kernel unless it is, and makes the bind group. That a group is
// there says later that its tensors are too, for Free drops the groups that a tensor is
// in.
func (d *wdevice) makeBound(c *Call) (*bound, error) {
	p, err := d.pipeline(c.Kernel)
	if err != nil {
		return nil, err
	}
	for i := range c.Tensors {
		t := c.Tensors[i]
		a, err := d.alive(t)
		if err == nil {
			err = checkCopy("bind", a.spec, t.at, t.Words())
		}
		if err != nil {
			return nil, fmt.Errorf("kernel %s: %w", c.Kernel.Name, err)
		}
	}
	entries := make([]wgpu.BindGroupEntry, 0, len(c.Tensors)+1)
	for i, t := range c.Tensors {
		entries = append(entries, wgpu.BindGroupEntry{Binding: uint32(i), Buffer: d.live[t.id].buf,
			Offset: uint64(t.at) * 4, Size: uint64(t.Bytes())})
	}
	entries = append(entries, wgpu.BindGroupEntry{Binding: uint32(len(c.Tensors)), Buffer: d.params, Size: slotBytes})
	g, err := d.dev.CreateBindGroup(&wgpu.BindGroupDescriptor{Label: c.Kernel.Name, Layout: p.layout, Entries: entries})
	if err == nil {
		if err = d.watch.Take(); err != nil {
			g.Release()
		}
	}
	if err != nil {
		var names []string
		for _, t := range c.Tensors {
			names = append(names, t.Name)
		}
		return nil, fmt.Errorf("kernel %s with %s: %s", c.Kernel.Name, strings.Join(names, ", "), oneLine(err))
	}
	b := &bound{key: keyOf(c), pipe: p.pipe, group: g}
	d.groups[b.key] = b
	for _, t := range c.Tensors {
		if d.groupsOf[t.id] == nil {
			d.groupsOf[t.id] = map[groupKey]bool{}
		}
		d.groupsOf[t.id][b.key] = true
	}
	return b, nil
}

// dropGroups releases the groups that a tensor is in.
func (d *wdevice) dropGroups(id uint64) {
	for key := range d.groupsOf[id] {
		b := d.groups[key]
		b.group.Release()
		b.group = nil // what it followed may still point to it
		delete(d.groups, key)
		for _, part := range key.parts { // also from the lists of the other tensors
			delete(d.groupsOf[part.id], key)
		}
	}
	delete(d.groupsOf, id)
}

// forgetKernels releases what was compiled and bound.
func (d *wdevice) forgetKernels() {
	for _, b := range d.groups {
		b.group.Release()
	}
	for _, p := range d.pipelines {
		p.release()
	}
	d.last = nil
	clear(d.groups)
	clear(d.groupsOf)
	clear(d.pipelines)
}
