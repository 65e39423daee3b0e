package gpu

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/rajveermalviya/go-webgpu/wgpu"

	"steplm/gpu/internal/native"
	"steplm/gpu/internal/turn"
	"steplm/gpu/memory"
)

const (
	slots       = 1024     // params slots: dispatches of one submission
	uploadBytes = 4 << 20  // one WriteBuffer
	flushBytes  = 12 << 20 // uploads handed over before they are waited for
	maxPending  = 128      // submissions handed over before they are waited for
)

// StagingBytes is the read-back buffer of a device, and so the most that is read in one piece.
const StagingBytes = 4 << 20

// OwnSpecs lists what any wgpu device keeps for itself, allocated when it opens;
// plans made without a device count it too.
func OwnSpecs() []Spec {
	return []Spec{
		{Name: "device.params", Class: Scratch, DType: U32, Shape: []int{slots, slotBytes / 4}},
		{Name: "device.staging", Class: Scratch, DType: U32, Shape: []int{StagingBytes / 4}},
		{Name: "device.canary", Class: Scratch, DType: U32, Shape: []int{4}},
	}
}

const tensorUsage = wgpu.BufferUsage_Storage | wgpu.BufferUsage_CopySrc | wgpu.BufferUsage_CopyDst

// wdevice is a device of the wgpu binding. Whatever is wrong with a call must be
// found before it gets to the native library, which aborts the process on many
// mistakes; and every native object must be released, for nothing has a
// finalizer.
type wdevice struct {
	turn    turn.Turn
	adapter Adapter
	dev     *wgpu.Device
	queue   *wgpu.Queue
	watch   native.Watch
	ledger  Ledger
	choices Choices
	pace    pace
	dead    error // lost or closed: what every call then returns
	hung    bool  // a map request is pending for ever

	trace  *Trace  // nil: opened without one
	stamps *stamps // nil: no trace, or none in the device

	params, staging, canary *wgpu.Buffer
	canaryTensor            Tensor

	pipelines map[*Kernel]pipeline
	groups    map[groupKey]*bound
	last      *bound                       // of the last call
	groupsOf  map[uint64]map[groupKey]bool // by tensor
	live      map[uint64]allocation
	fresh     []allocation // not cleared yet
	later     []Tensor     // freed inside the open pass

	submission
	label       string  // of the open pass
	submissions uint32  // canary: index of the last one
	chain       uint32  // canary: its expected value
	queued      float64 // work since the last read-back
	unflushed   int     // bytes of uploads since the last read-back
	pending     int     // submissions since the last read-back
	draining    bool    // a tensor was freed since then that they may still use
}

// allocation is what the device knows of a tensor, whatever became of its
// caller's copy.
type allocation struct {
	spec Spec
	buf  *wgpu.Buffer
}

// openAdapter opens a device that trace, unless nil, traces.
func openAdapter(a Adapter, trace *Trace) (_ Device, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open device %s (%s): %w", a.Name, a.Backend, err)
		}
	}()
	// RequestDevice drops its message: what it could say is checked here.
	if err := floor(a.native); err != nil {
		return nil, fmt.Errorf("it has %w", err)
	}
	if a.Limits.CPU {
		memory.SmallPages()
	}
	n := a.native
	n.MaxBufferSize = min(n.MaxBufferSize, maxBuffer)
	n.MaxPushConstantSize = 0 // not used, and not always set by the binding
	descriptor := wgpu.DeviceDescriptor{Label: "steplm", RequiredLimits: &wgpu.RequiredLimits{Limits: n}}
	stamped := trace != nil && a.handle.HasFeature(wgpu.FeatureName_TimestampQuery)
	if stamped {
		descriptor.RequiredFeatures = []wgpu.FeatureName{wgpu.FeatureName_TimestampQuery}
	}
	dev, err := a.handle.RequestDevice(&descriptor)
	if err != nil {
		if n := native.AddressLimit(); n > 0 {
			return nil, noRoom{n}
		}
		return nil, errors.New("its driver refused, though the limits suffice: another program may hold it, " +
			"or it is out of memory; try another device")
	}
	d := &wdevice{
		adapter: a, dev: dev, queue: dev.GetQueue(), watch: native.WatchDevice(dev),
		pipelines: map[*Kernel]pipeline{}, groups: map[groupKey]*bound{}, groupsOf: map[uint64]map[groupKey]bool{},
		live:       map[uint64]allocation{},
		submission: submission{data: make([]byte, slots*slotBytes)},
	}
	own := OwnSpecs()
	for i, b := range []struct {
		into  **wgpu.Buffer
		usage wgpu.BufferUsage
	}{
		{&d.params, wgpu.BufferUsage_Uniform | wgpu.BufferUsage_CopyDst},
		{&d.staging, wgpu.BufferUsage_MapRead | wgpu.BufferUsage_CopyDst},
		{&d.canary, tensorUsage},
	} {
		if *b.into, err = d.buffer(own[i], own[i].Bytes(), b.usage); err != nil {
			d.Close()
			return nil, err
		}
		d.ledger.add(own[i])
	}
	d.canaryTensor = tensorOf(own[2], d.canary)
	d.live[d.canaryTensor.id] = allocation{own[2], d.canary}
	d.fresh = append(d.fresh, d.live[d.canaryTensor.id])
	if trace != nil {
		d.trace, trace.calibrate = trace, d.calibrate
	}
	if stamped {
		if err := d.newStamps(); err != nil {
			d.Close()
			return nil, err
		}
	}
	if a.Limits.CPU {
		d.adapter.Limits.Backed = !memory.UntouchedIsFree() || d.backsUntouched()
	}
	return d, nil
}

func (d *wdevice) Name() string {
	return fmt.Sprintf("%s (%s, %s)", d.adapter.Name, d.adapter.Backend, d.adapter.Kind)
}
func (d *wdevice) Limits() Limits    { return d.adapter.Limits }
func (d *wdevice) Ledger() *Ledger   { return &d.ledger }
func (d *wdevice) Choices() *Choices { return &d.choices }

func (d *wdevice) Own() []Spec {
	if d.stamps != nil {
		return append(OwnSpecs(), stampSpec())
	}
	return OwnSpecs()
}

// enter waits for the caller's turn on a device that works; turn.Give ends it.
func (d *wdevice) enter() error {
	if err := d.turn.Take(); err != nil {
		return err
	}
	if d.dead != nil {
		d.turn.Give()
		return d.dead
	}
	return nil
}

// die makes err what every later call returns: what is on the device can no
// longer be trusted, and asking it again might abort.
func (d *wdevice) die(err error) error {
	if d.dead == nil {
		d.dead = fmt.Errorf("device %s is out of use since an earlier error: %s", d.Name(), oneLine(err))
	}
	return err
}

// buffer makes a buffer of size bytes for a tensor.
func (d *wdevice) buffer(s Spec, size int64, u wgpu.BufferUsage) (*wgpu.Buffer, error) {
	b, err := d.dev.CreateBuffer(&wgpu.BufferDescriptor{Label: s.Name, Usage: u, Size: uint64(size)})
	if err == nil {
		if err = d.watch.Take(); err != nil {
			b.Release()
		}
	}
	if err != nil {
		return nil, &AllocateError{Spec: s, cause: oneLine(err), live: d.ledger.String()}
	}
	return b, nil
}

// AllocateError is a tensor that a device has no memory for.
type AllocateError struct {
	Spec        Spec
	cause, live string
}

func (e *AllocateError) Error() string {
	return fmt.Sprintf("allocate %s (%s): %s; on the device now: %s", e.Spec.Name, Bytes(e.Spec.Bytes()), e.cause,
		e.live)
}

func (d *wdevice) New(s Spec) (Tensor, error) {
	if err := checkSpec(s, d.Limits()); err != nil {
		return Tensor{}, err
	}
	if d.Limits().CPU {
		if err := checkRoom(s, &d.ledger); err != nil {
			return Tensor{}, err
		}
	}
	if err := d.enter(); err != nil {
		return Tensor{}, fmt.Errorf("allocate %s: %w", s.Name, err)
	}
	defer d.turn.Give()
	// What the GPU still works on keeps its memory after Free, so the new tensor
	// would come on top of it.
	if d.draining {
		if err := d.sync(); err != nil {
			return Tensor{}, fmt.Errorf("allocate %s: %w", s.Name, err)
		}
	}
	b, err := d.tensorBuffer(s)
	if err != nil {
		return Tensor{}, err
	}
	t := tensorOf(s, b)
	d.live[t.id] = allocation{s, b}
	d.fresh = append(d.fresh, d.live[t.id])
	d.ledger.add(s)
	return t, nil
}

func (d *wdevice) Free(t Tensor) {
	if t.None() {
		return
	}
	if d.turn.Take() != nil {
		d.later = append(d.later, t)
		return
	}
	defer d.turn.Give()
	d.free(t)
}

func (d *wdevice) free(t Tensor) {
	a, ok := d.live[t.id]
	if !ok {
		return
	}
	d.dropGroups(t.id)
	delete(d.live, t.id)
	d.fresh = slices.DeleteFunc(d.fresh, func(f allocation) bool { return f.buf == a.buf })
	d.ledger.remove(a.spec)
	if d.hung {
		return // what the GPU still uses must not be touched
	}
	// Destroy gives the memory back once the GPU is done with it, Release alone
	// only the handle.
	a.buf.Destroy()
	a.buf.Release()
	d.dev.Poll(false, nil)
	d.draining = d.pending > 0
}

func (d *wdevice) alive(t Tensor) (allocation, error) {
	a, ok := d.live[t.id]
	if !ok {
		return a, goneError(t, d)
	}
	return a, nil
}

// Close releases everything; tensors that are still live go with it.
func (d *wdevice) Close() {
	if d.turn.Take() == nil { // otherwise this goroutine's pass holds the turn
		defer d.turn.Give()
	}
	hung := d.hung
	if d.dev == nil {
		return
	}
	d.dead = fmt.Errorf("device %s is closed", d.Name())
	if hung {
		d.dev = nil
		return // releasing a device that hangs waits for it, and may abort
	}
	d.discard()
	if d.stamps != nil {
		d.stamps.release()
		d.stamps = nil
	}
	d.forgetKernels()
	delete(d.live, d.canaryTensor.id)
	buffers := []*wgpu.Buffer{d.params, d.staging, d.canary}
	for _, a := range d.live {
		buffers = append(buffers, a.buf)
		d.ledger.remove(a.spec)
	}
	for _, b := range buffers {
		if b != nil {
			b.Destroy()
			b.Release()
		}
	}
	d.dev.Poll(false, nil)
	clear(d.live)
	d.queue.Release()
	d.dev.Release()
	d.watch.Free()
	d.dev = nil
}

func bytesOf(w []uint32) []byte {
	if len(w) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&w[0])), len(w)*4)
}

// oneLine folds the native library's multi-line messages.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
