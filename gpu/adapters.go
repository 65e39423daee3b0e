package gpu

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/rajveermalviya/go-webgpu/wgpu"

	"steplm/gpu/internal/native"
)

// Adapter is a GPU (or a CPU posing as one) that could be opened.
type Adapter struct {
	Index   int
	Name    string
	Driver  string
	Backend string // vulkan, metal, dx12
	Kind    string // discrete, integrated, cpu, unknown
	Limits  Limits
	native  wgpu.Limits
	handle  *wgpu.Adapter
}

var instance = sync.OnceValue(func() *wgpu.Instance {
	native.TrapAbort()
	os.Setenv("RUST_BACKTRACE", "0") // the native library's panics need no page of addresses
	if os.Getenv("NODEVICE_SELECT") == "" {
		// Mesa's device-select layer looks for a desktop and complains on
		// stderr when there is none; the choice among adapters is made here.
		os.Setenv("NODEVICE_SELECT", "1")
	}
	level := wgpu.LogLevel_Error
	if native.AddressLimit() > 0 {
		level = wgpu.LogLevel_Off // What goes wrong is that, and said once.
	}
	wgpu.SetLogLevel(level)
	// Named explicitly: GL and EGL print at start-up and can crash.
	return wgpu.CreateInstance(&wgpu.InstanceDescriptor{
		Backends: wgpu.InstanceBackend_Vulkan | wgpu.InstanceBackend_Metal | wgpu.InstanceBackend_DX12,
	})
})

var enumerate = sync.OnceValue(func() []Adapter {
	var list []Adapter
	for _, a := range instance().EnumerateAdapters(nil) {
		p := a.GetProperties()
		n := a.GetLimits().Limits
		ad := Adapter{Name: p.Name, Driver: p.DriverDescription, Backend: backendName(p.BackendType),
			Kind: kindName(p.AdapterType), native: n, handle: a}
		ad.Limits = limitsOf(n, ad.Kind, ad.Backend)
		list = append(list, ad)
	}
	// Stable order: what computes fastest first, as enumerated within a kind.
	var sorted []Adapter
	for rank := range 5 {
		for _, a := range list {
			if preference(a) == rank {
				a.Index = len(sorted)
				sorted = append(sorted, a)
			}
		}
	}
	return sorted
})

// Enumerate lists what can be opened, the preferred one first.
func Enumerate() []Adapter { return enumerate() }

// preference is smaller for what should be chosen first. DX12 comes after every
// other backend's GPU: its compiler is slow on workgroup memory.
func preference(a Adapter) int {
	switch {
	case a.Kind == "cpu":
		return 4
	case a.Backend == "dx12":
		return 3
	case a.Kind == "discrete":
		return 0
	case a.Kind == "integrated":
		return 1
	}
	return 2
}

func backendName(b wgpu.BackendType) string {
	switch b {
	case wgpu.BackendType_Vulkan:
		return "vulkan"
	case wgpu.BackendType_Metal:
		return "metal"
	case wgpu.BackendType_D3D12:
		return "dx12"
	}
	return strings.ToLower(b.String())
}

func kindName(t wgpu.AdapterType) string {
	switch t {
	case wgpu.AdapterType_DiscreteGPU:
		return "discrete"
	case wgpu.AdapterType_IntegratedGPU:
		return "integrated"
	case wgpu.AdapterType_CPU:
		return "cpu"
	}
	return "unknown"
}

// maxBuffer clamps the 2^64-1 that some drivers report: passed back as it is,
// the device silently gets the 256 MiB default.
const maxBuffer = 1 << 40

func limitsOf(n wgpu.Limits, kind, backend string) Limits {
	cpu := kind == "cpu"
	return Limits{
		CPU: cpu,
		// DX12's compiler takes minutes over arrays in workgroup memory: 8 KiB
		// of f32 took 28 s, of vec4 110 s.
		Shared:          !cpu && backend != "dx12",
		Binding:         int64(min(n.MaxStorageBufferBindingSize, n.MaxBufferSize, maxBuffer)),
		Buffer:          int64(min(n.MaxBufferSize, maxBuffer)),
		Groups:          int(n.MaxComputeWorkgroupsPerDimension),
		Invocations:     int(n.MaxComputeInvocationsPerWorkgroup),
		WorkgroupMemory: int(n.MaxComputeWorkgroupStorageSize),
		StorageBuffers:  int(n.MaxStorageBuffersPerShaderStage),
		Budget:          budgetOf(kind, backend),
	}
}

// budgetOf is the work of one submission. What is known of an adapter is its
// kind, so the budget fits the slowest of the kind at a tenth of its peak and
// stays below half of the two seconds after which Windows resets a GPU; on the
// fastest a submission then takes a few milliseconds, against well below 0.1 ms
// to hand it over.
func budgetOf(kind, backend string) float64 {
	switch {
	case kind == "cpu":
		return 2e9 // 4 to 20 GFLOP/s: 100 to 500 ms, with no watchdog
	case kind == "discrete":
		return 3e10 // 350 GFLOP/s (GT 710): 0.1 to 0.9 s
	case kind == "integrated" && backend == "metal":
		// 400 GFLOP/s (Intel): up to 0.3 s, for Metal drops command buffers of a
		// few hundred milliseconds; 2.6 TFLOP/s and more (Apple)
		return 1e10
	}
	return 5e9 // 100 GFLOP/s: 0.05 to 0.5 s
}

// floor lists what every kernel and the device's own buffers rely on.
func floor(n wgpu.Limits) error {
	for _, l := range []struct {
		name      string
		has, need uint64
	}{
		{"storage buffers per kernel", uint64(n.MaxStorageBuffersPerShaderStage), MaxStorage},
		{"bind groups", uint64(n.MaxBindGroups), 1},
		{"uniform buffers per kernel", uint64(n.MaxUniformBuffersPerShaderStage), 1},
		{"uniform buffers with a dynamic offset", uint64(n.MaxDynamicUniformBuffersPerPipelineLayout), 1},
		{"bytes of a uniform binding", n.MaxUniformBufferBindingSize, slotBytes},
		{"bytes of a storage binding", n.MaxStorageBufferBindingSize, StagingBytes},
		{"bytes of a buffer", n.MaxBufferSize, StagingBytes},
		{"invocations per workgroup", uint64(n.MaxComputeInvocationsPerWorkgroup), 256},
		{"invocations along a workgroup's x", uint64(n.MaxComputeWorkgroupSizeX), 256},
		{"workgroups per dimension", uint64(n.MaxComputeWorkgroupsPerDimension), 1},
	} {
		if l.has < l.need {
			return fmt.Errorf("%d %s, steplm's kernels need %d", l.has, l.name, l.need)
		}
	}
	if a := n.MinUniformBufferOffsetAlignment; a > slotBytes {
		return fmt.Errorf("uniform offsets aligned to %d bytes, steplm's kernels need %d or less", a, slotBytes)
	}
	if a := n.MinStorageBufferOffsetAlignment; a > viewAlign {
		return fmt.Errorf("storage offsets aligned to %d bytes, steplm's kernels need %d or less", a, viewAlign)
	}
	return nil
}

// NoAdapterHelp says what to install when there is no adapter.
const NoAdapterHelp = "no GPU and no software Vulkan found. Linux: install the GPU's Vulkan driver, or Mesa's " +
	"software one with " +
	"`apt-get install libvulkan1 mesa-vulkan-drivers`. macOS and Windows bring theirs with the system's GPU driver"

// ErrNoAdapter is that there is none.
var ErrNoAdapter = errors.New(NoAdapterHelp)

// NoAdapter is ErrNoAdapter, or what keeps a driver that may well be there from being opened.
func NoAdapter() error {
	if n := native.AddressLimit(); n > 0 {
		return noRoom{n}
	}
	return ErrNoAdapter
}

// noRoom is that no adapter was found by a process whose addresses are limited, which drivers need many of.
type noRoom struct{ limit int64 }

func (e noRoom) Error() string {
	return fmt.Sprintf("no device can be opened where the process may have %s of addresses (ulimit -v), which is less "+
		"than drivers map: raise that limit", Bytes(e.limit))
}

func (e noRoom) Is(target error) bool { return target == ErrNoAdapter }

// Open opens a device: "" takes the preferred adapter, "host" plain Go;
// otherwise an index of Enumerate, a backend (vulkan, metal, dx12) or a part of
// an adapter's name.
func Open(choice string) (Device, error) {
	if strings.EqualFold(choice, "host") {
		return NewHost(), nil
	}
	a, err := pick(Enumerate(), choice)
	if err != nil {
		return nil, err
	}
	return openAdapter(a, nil)
}

// ErrNoSuchDevice is returned for an index that no adapter has.
var ErrNoSuchDevice = errors.New("no such device")

func pick(list []Adapter, choice string) (Adapter, error) {
	if len(list) == 0 {
		return Adapter{}, NoAdapter()
	}
	if choice == "" {
		return list[0], nil
	}
	if i, err := strconv.Atoi(choice); err == nil {
		if i < 0 || i >= len(list) {
			return Adapter{}, fmt.Errorf("device %d: %w: there are %d (0 to %d)", i, ErrNoSuchDevice, len(list),
				len(list)-1)
		}
		return list[i], nil
	}
	low := strings.ToLower(choice)
	for _, a := range list {
		if a.Backend == low {
			return a, nil
		}
	}
	var names []string
	for _, a := range list {
		if strings.Contains(strings.ToLower(a.Name), low) {
			return a, nil
		}
		names = append(names, fmt.Sprintf("%d: %s (%s)", a.Index, a.Name, a.Backend))
	}
	return Adapter{}, fmt.Errorf("device %q is no index, backend or name of an adapter; choose one of %s, or host",
		choice, strings.Join(names, ", "))
}

// Tunable reports whether a device's kernels have variants that differ: in plain Go
// they do not.
func Tunable(d Device) bool {
	_, ok := d.(*wdevice)
	return ok
}

// Selector is what Open takes for the same device.
func Selector(d Device) string {
	if w, ok := d.(*wdevice); ok {
		return strconv.Itoa(w.adapter.Index)
	}
	return "host"
}

// CompilerMayAbort reports whether an error of the driver's compiler ends the process,
// as DX12's does.
func CompilerMayAbort(d Device) bool {
	w, ok := d.(*wdevice)
	return ok && w.adapter.Backend == "dx12"
}

// Identity is what measurements of a device are kept under: adapter, backend, driver.
func Identity(d Device) string {
	if w, ok := d.(*wdevice); ok {
		a := w.adapter
		return fmt.Sprintf("%s, %s, %s, %s", a.Name, a.Backend, a.Kind, a.Driver)
	}
	return d.Name()
}
