package gpu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unsafe"

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
	mod, err := d.dev.CreateShaderModule(&wgpu.ShaderModuleDescriptor{Label: k.Name, WGSLDescriptor: &wgpu.ShaderModuleWGSLDescriptor{Code: k.Source}})
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
		entries = append(entries, wgpu.BindGroupLayoutEntry{Binding: uint32(i), Visibility: wgpu.ShaderStage_Compute, Buffer: wgpu.BufferBindingLayout{Type: t}})
	}
	entries = append(entries, wgpu.BindGroupLayoutEntry{Binding: uint32(len(k.Access)), Visibility: wgpu.ShaderStage_Compute,
		Buffer: wgpu.BufferBindingLayout{Type: wgpu.BufferBindingType_Uniform, HasDynamicOffset: true}})
	layout, err := d.dev.CreateBindGroupLayout(&wgpu.BindGroupLayoutDescriptor{Label: k.Name, Entries: entries})
	if err != nil {
		return pipeline{}, err
	}
	pl, err := d.dev.CreatePipelineLayout(&wgpu.PipelineLayoutDescriptor{Label: k.Name, BindGroupLayouts: []*wgpu.BindGroupLayout{layout}})
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
	if err := d.watch.take(); err != nil { // what was not a mistake in the kernel: memory, the driver
		p.release()
		return pipeline{}, err
	}
	return p, nil
}

// groupKey names a kernel's bind group of some tensors: the kernel's address,
// then of each tensor its memory, where it begins there and its length.
func groupKey(c Call) []byte {
	key := make([]byte, 0, 8+keyTensor*len(c.Tensors))
	key = binary.LittleEndian.AppendUint64(key, uint64(uintptr(unsafe.Pointer(c.Kernel))))
	for _, t := range c.Tensors {
		key = binary.LittleEndian.AppendUint64(key, t.id)
		key = binary.LittleEndian.AppendUint64(key, uint64(t.at))
		key = binary.LittleEndian.AppendUint64(key, uint64(t.Words()))
	}
	return key
}

// keyTensor is the bytes of a tensor in a groupKey.
const keyTensor = 24

// bindGroup returns the cached group of a kernel and its tensors.
func (d *wdevice) bindGroup(c Call, p pipeline) (*wgpu.BindGroup, error) {
	key := groupKey(c)
	if g, ok := d.groups[string(key)]; ok {
		return g, nil
	}
	entries := make([]wgpu.BindGroupEntry, 0, len(c.Tensors)+1)
	for i, t := range c.Tensors {
		entries = append(entries, wgpu.BindGroupEntry{Binding: uint32(i), Buffer: d.live[t.id].buf, Offset: uint64(t.at) * 4, Size: uint64(t.Bytes())})
	}
	entries = append(entries, wgpu.BindGroupEntry{Binding: uint32(len(c.Tensors)), Buffer: d.params, Size: slotBytes})
	g, err := d.dev.CreateBindGroup(&wgpu.BindGroupDescriptor{Label: c.Kernel.Name, Layout: p.layout, Entries: entries})
	if err == nil {
		if err = d.watch.take(); err != nil {
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
	d.groups[string(key)] = g
	for _, t := range c.Tensors {
		if d.groupsOf[t.id] == nil {
			d.groupsOf[t.id] = map[string]bool{}
		}
		d.groupsOf[t.id][string(key)] = true
	}
	return g, nil
}

// dropGroups releases the groups that a tensor is in.
func (d *wdevice) dropGroups(id uint64) {
	for key := range d.groupsOf[id] {
		d.groups[key].Release()
		delete(d.groups, key)
		for at := 8; at < len(key); at += keyTensor { // also from the lists of the other tensors
			delete(d.groupsOf[binary.LittleEndian.Uint64([]byte(key[at:]))], key)
		}
	}
	delete(d.groupsOf, id)
}
