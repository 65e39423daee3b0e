package gpu

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/rajveermalviya/go-webgpu/wgpu"
)

const (
	slots        = 1024    // params slots: dispatches of one submission
	stagingBytes = 4 << 20 // read-back buffer
	uploadBytes  = 8 << 20 // one WriteBuffer
	flushBytes   = 32 << 20
)

// ownSpecs are the buffers of a wgpu device, allocated when it opens.
func ownSpecs() []Spec {
	return []Spec{
		{Name: "device.params", Class: Scratch, DType: U32, Shape: []int{slots, slotBytes / 4}},
		{Name: "device.staging", Class: Scratch, DType: U32, Shape: []int{stagingBytes / 4}},
		{Name: "device.canary", Class: Scratch, DType: U32, Shape: []int{4}},
	}
}

// OwnSpecs lists what any wgpu device keeps for itself, for plans made without
// a device.
func OwnSpecs() []Spec { return ownSpecs() }

type pipeline struct {
	pipe   *wgpu.ComputePipeline
	layout *wgpu.BindGroupLayout
}

type wdevice struct {
	mu      sync.Mutex
	adapter Adapter
	dev     *wgpu.Device
	queue   *wgpu.Queue
	errors  errorWatch
	ledger  Ledger

	params, staging, canary *wgpu.Buffer
	canaryTensor            Tensor

	pipelines map[*Kernel]pipeline
	groups    map[string]*wgpu.BindGroup
	groupsOf  map[uint64][]string // tensor -> keys of groups
	live      map[uint64]Spec

	// The submission being recorded.
	encoder *wgpu.CommandEncoder
	compute *wgpu.ComputePassEncoder
	slot    int
	data    []byte // params of the slots used
	work    float64

	submissions uint32 // canary: index of the last submission
	chain       uint32 // canary: its expected value
	queued      float64
	unflushed   int
}

func openAdapter(a Adapter) (Device, error) {
	n := a.native
	n.MaxBufferSize = min(n.MaxBufferSize, maxBuffer)
	dev, err := a.handle.RequestDevice(&wgpu.DeviceDescriptor{Label: "steplm", RequiredLimits: &wgpu.RequiredLimits{Limits: n}})
	if err != nil {
		return nil, fmt.Errorf("open device %s (%s): %w", a.Name, a.Backend, err)
	}
	d := &wdevice{
		adapter: a, dev: dev, queue: dev.GetQueue(), errors: watchErrors(dev),
		pipelines: map[*Kernel]pipeline{}, groups: map[string]*wgpu.BindGroup{}, groupsOf: map[uint64][]string{}, live: map[uint64]Spec{},
		data: make([]byte, slots*slotBytes),
	}
	usage := []wgpu.BufferUsage{
		wgpu.BufferUsage_Uniform | wgpu.BufferUsage_CopyDst,
		wgpu.BufferUsage_MapRead | wgpu.BufferUsage_CopyDst,
		wgpu.BufferUsage_Storage | wgpu.BufferUsage_CopySrc | wgpu.BufferUsage_CopyDst,
	}
	for i, s := range ownSpecs() {
		b, err := d.buffer(s, usage[i])
		if err != nil {
			return nil, fmt.Errorf("open device %s: %w", a.Name, err)
		}
		*[]**wgpu.Buffer{&d.params, &d.staging, &d.canary}[i] = b
		d.ledger.add(s)
	}
	d.canaryTensor = Tensor{Spec: ownSpecs()[2], id: nextID.Add(1), mem: d.canary}
	d.live[d.canaryTensor.id] = d.canaryTensor.Spec
	return d, nil
}

func (d *wdevice) Name() string {
	return fmt.Sprintf("%s (%s, %s)", d.adapter.Name, d.adapter.Backend, d.adapter.Kind)
}
func (d *wdevice) Limits() Limits  { return d.adapter.Limits }
func (d *wdevice) Ledger() *Ledger { return &d.ledger }
func (d *wdevice) Own() []Spec     { return ownSpecs() }

func (d *wdevice) buffer(s Spec, u wgpu.BufferUsage) (*wgpu.Buffer, error) {
	b, err := d.dev.CreateBuffer(&wgpu.BufferDescriptor{Label: s.Name, Usage: u, Size: uint64(s.Bytes())})
	if err == nil {
		err = d.errors.take()
	}
	if err != nil {
		return nil, fmt.Errorf("allocate %s (%s): %s; on the device now: %s", s.Name, Bytes(s.Bytes()), oneLine(err), &d.ledger)
	}
	return b, nil
}

func (d *wdevice) New(s Spec) (Tensor, error) {
	if err := checkSpec(s, d.Limits()); err != nil {
		return Tensor{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	b, err := d.buffer(s, wgpu.BufferUsage_Storage|wgpu.BufferUsage_CopySrc|wgpu.BufferUsage_CopyDst)
	if err != nil {
		return Tensor{}, err
	}
	t := Tensor{Spec: s, id: nextID.Add(1), mem: b}
	d.live[t.id] = s
	d.ledger.add(s)
	return t, nil
}

func (d *wdevice) Free(t Tensor) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.live[t.id]; !ok {
		return
	}
	for _, key := range d.groupsOf[t.id] {
		if g := d.groups[key]; g != nil {
			g.Release()
			delete(d.groups, key)
		}
	}
	delete(d.groupsOf, t.id)
	delete(d.live, t.id)
	b := t.mem.(*wgpu.Buffer)
	b.Destroy()
	b.Release()
	d.dev.Poll(false, nil)
	d.ledger.remove(t.Spec)
}

func (d *wdevice) alive(t Tensor) error {
	if _, ok := d.live[t.id]; !ok {
		return fmt.Errorf("tensor %s is not on device %s (freed, or another device's)", t.Name, d.Name())
	}
	return nil
}

func (d *wdevice) Write(t Tensor, at int, words []uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := checkCopy("write", t, at, len(words)); err != nil {
		return err
	}
	if err := d.alive(t); err != nil {
		return err
	}
	for len(words) > 0 {
		n := min(len(words), uploadBytes/4)
		if err := d.upload(t.mem.(*wgpu.Buffer), at*4, bytesOf(words[:n])); err != nil {
			return fmt.Errorf("write tensor %s: %w", t.Name, err)
		}
		words, at = words[n:], at+n
		// The library copies every write and frees the copy only after a
		// submission was waited for.
		if d.unflushed > flushBytes {
			if err := d.sync(); err != nil {
				return fmt.Errorf("write tensor %s: %w", t.Name, err)
			}
		}
	}
	return nil
}

func (d *wdevice) upload(b *wgpu.Buffer, at int, data []byte) error {
	d.unflushed += len(data)
	if err := d.queue.WriteBuffer(b, uint64(at), data); err != nil {
		return err
	}
	return d.errors.take()
}

func (d *wdevice) Read(t Tensor, at int, words []uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := checkCopy("read", t, at, len(words)); err != nil {
		return err
	}
	if err := d.alive(t); err != nil {
		return err
	}
	for len(words) > 0 {
		n := min(len(words), (stagingBytes-slotBytes)/4)
		if err := d.readBack(t.mem.(*wgpu.Buffer), at*4, words[:n]); err != nil {
			return fmt.Errorf("read tensor %s: %w", t.Name, err)
		}
		words, at = words[n:], at+n
	}
	return nil
}

// sync waits for everything submitted.
func (d *wdevice) sync() error { return d.readBack(nil, 0, nil) }

// readBack copies words from b, and the canary behind them, waits, and checks
// that every submission so far has run.
func (d *wdevice) readBack(b *wgpu.Buffer, at int, words []uint32) error {
	enc, err := d.dev.CreateCommandEncoder(&wgpu.CommandEncoderDescriptor{Label: "read"})
	if err != nil {
		return err
	}
	defer enc.Release()
	size := len(words) * 4
	if b != nil {
		if err := enc.CopyBufferToBuffer(b, uint64(at), d.staging, 0, uint64(size)); err != nil {
			return err
		}
	}
	if err := enc.CopyBufferToBuffer(d.canary, 0, d.staging, uint64(size), 4); err != nil {
		return err
	}
	if err := d.submit(enc); err != nil {
		return err
	}
	// A minute, and what the queued work takes at a fiftieth of a slow CPU,
	// at most a day.
	limit := time.Minute + time.Duration(min(d.queued/1e8, 86400)*float64(time.Second))
	if err := mapRead(d.dev, d.staging, size+4, limit); err != nil {
		return err
	}
	d.queued, d.unflushed = 0, 0
	mapped := d.staging.GetMappedRange(0, uint(size+4))
	copy(bytesOf(words), mapped)
	canary := binary.LittleEndian.Uint32(mapped[size:])
	if err := d.staging.Unmap(); err != nil {
		return err
	}
	if err := d.errors.take(); err != nil {
		return err
	}
	if canary != d.chain {
		return fmt.Errorf("the GPU dropped work: after %d submissions its canary reads %d, not %d; results cannot be trusted", d.submissions, canary, d.chain)
	}
	return nil
}

func (d *wdevice) submit(enc *wgpu.CommandEncoder) error {
	cmd, err := enc.Finish(nil)
	if err == nil {
		err = d.errors.take()
	}
	if err != nil {
		return err
	}
	defer cmd.Release()
	d.queue.Submit(cmd)
	return d.errors.take()
}

func (d *wdevice) Begin(label string) *Pass {
	d.mu.Lock()
	return &Pass{label: label, limits: d.Limits(), run: d.record, end: func() error {
		defer d.mu.Unlock()
		return d.flush()
	}}
}

// record splits a call into dispatches within the budget and the limit on
// workgroups, by origin.
func (d *wdevice) record(c Call) error {
	for _, t := range c.Tensors {
		if err := d.alive(t); err != nil {
			return fmt.Errorf("kernel %s: %w", c.Kernel.Name, err)
		}
	}
	p, err := d.pipeline(c.Kernel)
	if err != nil {
		return err
	}
	g, err := d.bindGroup(c, p)
	if err != nil {
		return err
	}
	lim := d.Limits()
	total := float64(c.Groups[0]) * float64(c.Groups[1]) * float64(c.Groups[2])
	part := c.Groups
	for i := 2; i >= 0; i-- {
		// Workgroups of this dimension that stay within the budget.
		rest := 1.0
		for j := range i {
			rest *= float64(part[j])
		}
		for j := i + 1; j < 3; j++ {
			rest *= float64(part[j])
		}
		fit := lim.Groups
		if c.Work > 0 {
			fit = int(min(float64(fit), max(1, math.Floor(lim.Budget*total/(c.Work*rest)))))
		}
		part[i] = min(part[i], fit)
	}
	each := c.Work * float64(part[0]) * float64(part[1]) * float64(part[2]) / total
	for z := 0; z < c.Groups[2]; z += part[2] {
		for y := 0; y < c.Groups[1]; y += part[1] {
			for x := 0; x < c.Groups[0]; x += part[0] {
				n := [3]int{min(part[0], c.Groups[0]-x), min(part[1], c.Groups[1]-y), min(part[2], c.Groups[2]-z)}
				if err := d.dispatch(p, g, [3]int{x, y, z}, n, c.Params, each); err != nil {
					return fmt.Errorf("kernel %s: %s", c.Kernel.Name, oneLine(err))
				}
			}
		}
	}
	return nil
}

// dispatch begins another submission first where the budget or the params
// slots, one of which is the canary's, would not suffice.
func (d *wdevice) dispatch(p pipeline, g *wgpu.BindGroup, origin, n [3]int, params []uint32, work float64) error {
	if d.slot >= slots-1 || (d.work > 0 && d.work+work > d.adapter.Limits.Budget) {
		if err := d.flush(); err != nil {
			return err
		}
	}
	d.work += work
	return d.put(p, g, origin, n, params)
}

// put records one dispatch into the submission, which has room.
func (d *wdevice) put(p pipeline, g *wgpu.BindGroup, origin, n [3]int, params []uint32) error {
	if d.encoder == nil {
		enc, err := d.dev.CreateCommandEncoder(&wgpu.CommandEncoderDescriptor{Label: "pass"})
		if err != nil {
			return err
		}
		d.encoder, d.compute = enc, enc.BeginComputePass(nil)
	}
	slot := d.data[d.slot*slotBytes : (d.slot+1)*slotBytes]
	for i, o := range origin {
		binary.LittleEndian.PutUint32(slot[i*4:], uint32(o))
	}
	copy(slot[12:], bytesOf(params))
	d.compute.SetPipeline(p.pipe)
	d.compute.SetBindGroup(0, g, []uint32{uint32(d.slot * slotBytes)})
	d.compute.DispatchWorkgroups(uint32(n[0]), uint32(n[1]), uint32(n[2]))
	d.slot++
	return nil
}

// flush ends the submission with its canary and hands it over.
func (d *wdevice) flush() error {
	if d.encoder == nil {
		return nil
	}
	d.submissions++
	p, err := d.pipeline(&canaryKernel)
	if err != nil {
		return err
	}
	g, err := d.bindGroup(Call{Kernel: &canaryKernel, Tensors: []Tensor{d.canaryTensor}}, p)
	if err != nil {
		return err
	}
	enc, compute := d.encoder, d.compute
	if err := d.put(p, g, [3]int{}, [3]int{1, 1, 1}, []uint32{d.submissions}); err != nil {
		return err
	}
	used, work := d.slot*slotBytes, d.work
	d.encoder, d.compute, d.slot, d.work = nil, nil, 0, 0
	defer enc.Release()
	err = compute.End()
	compute.Release()
	if err != nil {
		return err
	}
	if err := d.upload(d.params, 0, d.data[:used]); err != nil {
		return err
	}
	d.chain = d.chain*31 + d.submissions
	d.queued += work
	if err := d.submit(enc); err != nil {
		return fmt.Errorf("submission %d: %s", d.submissions, oneLine(err))
	}
	d.dev.Poll(false, nil)
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
	if err == nil {
		err = d.errors.take()
	}
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
		return pipeline{}, err
	}
	defer pl.Release()
	pipe, err := d.dev.CreateComputePipeline(&wgpu.ComputePipelineDescriptor{Label: k.Name, Layout: pl,
		Compute: wgpu.ProgrammableStageDescriptor{Module: mod, EntryPoint: k.Name}})
	if err == nil {
		err = d.errors.take()
	}
	return pipeline{pipe, layout}, err
}

// bindGroup returns the cached group of a kernel and its tensors.
func (d *wdevice) bindGroup(c Call, p pipeline) (*wgpu.BindGroup, error) {
	key := make([]byte, 0, 8*(len(c.Tensors)+1))
	key = binary.LittleEndian.AppendUint64(key, uint64(uintptr(unsafe.Pointer(c.Kernel))))
	for _, t := range c.Tensors {
		key = binary.LittleEndian.AppendUint64(key, t.id)
	}
	if g, ok := d.groups[string(key)]; ok {
		return g, nil
	}
	entries := make([]wgpu.BindGroupEntry, 0, len(c.Tensors)+1)
	for i, t := range c.Tensors {
		entries = append(entries, wgpu.BindGroupEntry{Binding: uint32(i), Buffer: t.mem.(*wgpu.Buffer), Size: wgpu.WholeSize})
	}
	entries = append(entries, wgpu.BindGroupEntry{Binding: uint32(len(c.Tensors)), Buffer: d.params, Size: slotBytes})
	g, err := d.dev.CreateBindGroup(&wgpu.BindGroupDescriptor{Label: c.Kernel.Name, Layout: p.layout, Entries: entries})
	if err == nil {
		err = d.errors.take()
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
		d.groupsOf[t.id] = append(d.groupsOf[t.id], string(key))
	}
	return g, nil
}

// Close releases everything; tensors that are still live go with it.
func (d *wdevice) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, g := range d.groups {
		g.Release()
	}
	for _, p := range d.pipelines {
		p.pipe.Release()
		p.layout.Release()
	}
	for _, b := range []*wgpu.Buffer{d.params, d.staging, d.canary} {
		b.Destroy()
		b.Release()
	}
	d.queue.Release()
	d.dev.Release()
}

func bytesOf(w []uint32) []byte {
	if len(w) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&w[0])), len(w)*4)
}

// oneLine folds the native library's multi-line messages.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
