package devices

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/gpu/selftest"
	"steplm/model"
)

// What the list says of three kinds of device: each kernel once, by a name of its own,
// within the device's limits, with attention for every preset. DX12's compiler is slow
// on workgroup memory: on its devices kernels have 2.5 KiB at most, which a row's 64 lanes take.
func TestKernels(t *testing.T) {
	least := gpu.Limits{Invocations: 256, WorkgroupMemory: 16384, StorageBuffers: gpu.MaxStorage}
	for _, c := range []struct {
		name   string
		change func(*gpu.Limits)
		memory int
		matmul string // a part of some kernel's name
	}{
		{"a GPU", func(l *gpu.Limits) { l.Shared = true }, 16384, "_shared"},
		{"DX12", func(*gpu.Limits) {}, 2560, "matmul_nt_8x8_8x8"},
		{"a CPU", func(l *gpu.Limits) { l.CPU = true }, 2048, "matmul_nt_16x16"},
	} {
		l := least
		c.change(&l)
		seen := map[string]bool{}
		matmul := false
		for _, k := range kernelsOf(l) {
			if seen[k.Name] {
				t.Errorf("%s: kernel %s is there twice", c.name, k.Name)
			}
			seen[k.Name] = true
			matmul = matmul || strings.Contains(k.Name, c.matmul)
			if k.Shared > c.memory || k.Invocations() > l.Invocations || len(k.Access) > l.StorageBuffers {
				t.Errorf("%s: kernel %s of %d invocations, %d buffers and %d bytes of workgroup memory", c.name, k.Name,
					k.Invocations(), len(k.Access), k.Shared)
			}
		}
		if !matmul {
			t.Errorf("%s: no kernel is %s", c.name, c.matmul)
		}
		for _, preset := range model.Presets() {
			config, err := model.Preset(preset)
			if err != nil {
				t.Fatal(err)
			}
			for _, dtype := range []gpu.DType{gpu.F32, gpu.BF16} {
				name := fmt.Sprintf("attention_forward_%d_%s_", config.HeadDim(), dtype) // and a block
				if !slices.ContainsFunc(slices.Collect(maps.Keys(seen)),
					func(k string) bool { return strings.HasPrefix(k, name) }) {
					t.Errorf("%s: preset %s needs kernel %s", c.name, preset, name)
				}
			}
		}
	}
}

// A check names every kernel that failed, and how.
func TestKernelsCheck(t *testing.T) {
	t.Setenv(clitest.AsCommand, "1")
	for _, device := range clitest.Devices(t) {
		c := kernelsCheckCmd{DeviceFlag: flags.DeviceFlag{Device: device}, JSON: true}
		list := selftest.Kernels()
		wrong := *list[1]
		wrong.Name, wrong.Workgroup = "wrong", [3]int{1 << 20, 1 << 20, 1}
		list[1] = &wrong
		var said strings.Builder
		r := kernelsCheck{Device: "the device", Seconds: 1, Kernels: c.compile(t.Context(), list, &said)}
		if text := said.String(); !strings.Contains(text, "kernel wrong") || !strings.Contains(text, "workgroups of") {
			t.Errorf("device %q: while it goes on the check prints %q", device, text)
		}
		if silent := c.compile(t.Context(), list, view.ProgressOutput(true)); silent[1].Error == "" {
			t.Errorf("device %q: as JSON the wrong kernel compiles", device)
		}
		oneError(t, r.verdict(), "1 of 3 kernels do not compile on the device: wrong")
		var out strings.Builder
		r.print(&out)
		if text := out.String(); !strings.Contains(text, "2 compiled, 1 failed") ||
			!strings.Contains(text, "\nfailed\nkernel wrong") || !strings.Contains(text, "workgroups of") ||
			strings.Count(text, "\n"+list[0].Name+" ") != 1 {
			t.Errorf("device %q: the check prints %q", device, text)
		}
		r.Kernels = slices.Delete(r.Kernels, 1, 2)
		if err := r.verdict(); err != nil {
			t.Error(err)
		}
	}
}

// A check may be of some kernels, by their names.
func TestKernelsCheckNamed(t *testing.T) {
	out := clitest.Succeed(t, "", "kernels", "check", "--device", "host", "--named", "rmsnorm_forward", "--json")
	var said kernelsCheck
	if err := json.Unmarshal([]byte(out), &said); err != nil || len(said.Kernels) == 0 {
		t.Fatalf("%q, %v", out, err)
	}
	for _, k := range said.Kernels {
		if !strings.Contains(k.Kernel, "rmsnorm_forward") || k.Error != "" {
			t.Errorf("%+v", k)
		}
	}
	_, stderr, code := clitest.Call(t, "", "kernels", "check", "--device", "host", "--named", "rmsnrm")
	clitest.CheckFailure(t, "kernels check", stderr, code, 2, "--named rmsnrm", "none of the")
}

func TestKernelsCompile(t *testing.T) {
	for _, device := range clitest.Devices(t) {
		out := clitest.Succeed(t, "", "kernels", "compile", "--device="+device, "--kernel", "zero")
		var line compilation
		if err := json.Unmarshal([]byte(out), &line); err != nil || line.Kernel != "zero" || line.Error != "" {
			t.Errorf("device %q: %q, %v", device, out, err)
		}
		for _, c := range []struct{ kernel, want string }{{"no such kernel", `"no such kernel"`}, {"", "--kernel"}} {
			out, stderr, code := clitest.Call(t, "", "kernels", "compile", "--device="+device, "--kernel="+c.kernel)
			clitest.CheckFailure(t, "kernels compile", stderr, code, 1, c.want)
			if err := json.Unmarshal([]byte(out), &line); err != nil || !strings.Contains(line.Error, c.want) {
				t.Errorf("device %q: %q, %v", device, out, err)
			}
		}
	}
}

// The list is that of the device's limits, in its order.
func TestKernelsList(t *testing.T) {
	for _, device := range clitest.Devices(t) {
		args := []string{"kernels", "list", "--device=" + device}
		d, err := gpu.Open(device)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		var want []string
		for _, k := range kernelsOf(d.Limits()) {
			want = append(want, k.Name)
		}
		if got := strings.Fields(clitest.Succeed(t, "", args...)); !slices.Equal(got, want) {
			t.Errorf("device %q has kernels %q, listed are %q", device, want, got)
		}
	}
}
