package gpu

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Access is how a kernel touches one of its storage bindings.
type Access uint8

const (
	Read  Access = iota // var<storage, read>
	Write               // var<storage, read_write>
)

// MaxStorage is the number of storage buffers every kernel must get by with:
// WebGPU's guaranteed limit.
const MaxStorage = 8

// Kernel is code, bindings and meaning.
//
// Bindings 0..len(Access)-1 of group 0 are the storage buffers: outputs, then
// inputs. Binding len(Access) is the uniform `params`, a struct whose first
// member is `origin: vec3<u32>`: the device may split a call into several
// dispatches, and a kernel must add origin to its workgroup_id.
type Kernel struct {
	Name      string // label
	Entry     string // entry point; "": the name
	Source    string // WGSL
	Workgroup [3]int
	Shared    int // bytes of workgroup memory
	Access    []Access
	DTypes    []DType    // of the bindings; nil: any
	Host      func(Args) // the same in plain Go, for the whole call
}

// Invocations is the size of one workgroup.
func (k *Kernel) Invocations() int { return k.Workgroup[0] * k.Workgroup[1] * k.Workgroup[2] }

func (k *Kernel) entry() string {
	if k.Entry != "" {
		return k.Entry
	}
	return k.Name
}

// Call is one kernel on given tensors.
type Call struct {
	Kernel  *Kernel
	Groups  [3]int   // workgroups
	Params  []uint32 // members of the params struct after origin
	Tensors []Tensor // in binding order
	Work    float64  // estimated floating point operations, or what takes the time of as many
}

// maxParams is what fits a 256-byte slot after origin.
const maxParams = slotBytes/4 - 3

const slotBytes = 256

// check refuses whatever a device must not be given.
func (c Call) check(l Limits) error {
	k := c.Kernel
	if len(c.Tensors) != len(k.Access) {
		return fmt.Errorf("kernel %s: %d tensors for %d bindings", k.Name, len(c.Tensors), len(k.Access))
	}
	if len(c.Params) > maxParams {
		return fmt.Errorf("kernel %s: %d params, at most %d fit", k.Name, len(c.Params), maxParams)
	}
	for i, g := range c.Groups {
		if g < 1 {
			return fmt.Errorf("kernel %s: %v workgroups, dimension %d is below 1", k.Name, c.Groups, i)
		}
		if g > math.MaxUint32 {
			return fmt.Errorf("kernel %s: %v workgroups, dimension %d is above the %d that origin can count", k.Name,
				c.Groups, i, uint32(math.MaxUint32))
		}
	}
	for i := range c.Tensors {
		t := &c.Tensors[i] // a copy of each would cost as much as the rest
		if t.None() {
			return fmt.Errorf("kernel %s: binding %d has no tensor", k.Name, i)
		}
		if err := checkShape(t.Spec); err != nil {
			return fmt.Errorf("kernel %s: %w", k.Name, err)
		}
		if k.DTypes != nil && t.DType != k.DTypes[i] {
			return fmt.Errorf("kernel %s: tensor %s is %s, binding %d takes %s", k.Name, t.Name, t.DType, i,
				k.DTypes[i])
		}
		if n := t.Bytes(); n > l.Binding {
			return fmt.Errorf("kernel %s: tensor %s has %d bytes, the device binds %d to a kernel", k.Name, t.Name, n,
				l.Binding)
		}
		if t.at*4%viewAlign != 0 {
			return fmt.Errorf("kernel %s: the part of tensor %s begins at byte %d, which is no multiple of %d", k.Name,
				t.Name, t.at*4, viewAlign)
		}
		for j := range i {
			if t.id == c.Tensors[j].id && (k.Access[i] == Write || k.Access[j] == Write) {
				return fmt.Errorf("kernel %s: tensor %s is bound at %d and %d and written", k.Name, t.Name, j, i)
			}
		}
	}
	return nil
}

// checkKernel refuses a kernel beyond the device's limits, and what the native
// library would not report but abort on, or not check at all.
func checkKernel(k *Kernel, l Limits) error {
	switch {
	case k.Name == "":
		return errors.New("a kernel without a name has no entry point")
	case min(k.Workgroup[0], k.Workgroup[1], k.Workgroup[2]) < 1:
		return fmt.Errorf("kernel %s: workgroups of %v invocations, every dimension must be 1 or more", k.Name,
			k.Workgroup)
	case k.Shared == 0 && strings.Contains(k.Source, "var<workgroup>"):
		return fmt.Errorf("kernel %s uses workgroup memory and does not declare how much", k.Name)
	case k.Invocations() > l.Invocations:
		return fmt.Errorf("kernel %s: workgroups of %d invocations, the device allows %d", k.Name, k.Invocations(),
			l.Invocations)
	case k.Shared > l.WorkgroupMemory:
		return fmt.Errorf("kernel %s: %d bytes of workgroup memory, the device has %d", k.Name, k.Shared,
			l.WorkgroupMemory)
	case len(k.Access) > min(MaxStorage, l.StorageBuffers):
		return fmt.Errorf("kernel %s: %d storage buffers, the device binds %d", k.Name, len(k.Access),
			min(MaxStorage, l.StorageBuffers))
	}
	return nil
}

// Args is what Kernel.Host sees: the call's tensors and params.
type Args struct {
	params []uint32
	specs  []Spec
	words  [][]uint32
	floats [][]float32 // decoded by F
}

// F is binding i as float32 values without padding, whatever stores them: what a
// kernel writes there is rounded and padded after Host. So one reference serves
// every storage type.
func (a Args) F(i int) []float32 {
	if a.floats[i] == nil {
		a.floats[i] = make([]float32, a.specs[i].Elements())
		decode(a.floats[i], a.words[i], a.specs[i])
	}
	return a.floats[i]
}

// U is binding i as words.
func (a Args) U(i int) []uint32 { return a.words[i] }

// store carries what Host wrote through F over to the words.
func (a Args) store(access []Access) {
	for i, f := range a.floats {
		if f != nil && access[i] == Write {
			encode(a.words[i], f, a.specs[i])
		}
	}
}

// Int is param i, counted after origin.
func (a Args) Int(i int) int { return int(a.params[i]) }

// Float is param i as a float32.
func (a Args) Float(i int) float32 { return math.Float32frombits(a.params[i]) }

// Groups is the number of workgroups of size that cover n.
func Groups(n, size int) int { return (n + size - 1) / size }

// Param is a float32 as a params word.
func Param(f float32) uint32 { return math.Float32bits(f) }
