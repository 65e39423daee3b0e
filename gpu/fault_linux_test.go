package gpu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The phases of the program that the fault tests run, this test binary again.
// A fault is in force during one of them.
var faultPhases = []struct {
	name string
	do   func(*victim) error
}{
	{"open", func(v *victim) (err error) {
		d, err := Open(os.Getenv("STEPLM_DEVICE"))
		if err == nil {
			v.d = d.(*wdevice)
		}
		return err
	}},
	{"new", func(v *victim) (err error) {
		v.x, err = v.d.New(Spec{Name: "x", Class: Weights, DType: U32, Shape: []int{16 << 20}})
		return err
	}},
	{"small", func(v *victim) error { // on a CPU with memory to itself; else in a chunk that has room
		y, err := v.d.New(Spec{Name: "y", Class: Weights, DType: U32, Shape: []int{ownBytes / 4}})
		v.d.Free(y)
		return err
	}},
	{"compile", func(v *victim) error { return v.pass(1) }},
	{"passes", func(v *victim) error {
		for range 5 {
			if err := v.pass(2*slots - 10); err != nil { // two submissions each
				return err
			}
		}
		return nil
	}},
	{"write", func(v *victim) error { return v.d.Write(v.x, 1, make([]uint32, 12<<20)) }},
	{"read", func(v *victim) error { return v.d.Read(v.x, 1, make([]uint32, 3<<20)) }},
	// With the fault gone, what works again must compute right.
	{"again", func(v *victim) error {
		y, err := v.d.New(Spec{Name: "y", Class: Weights, DType: U32, Shape: []int{4}})
		if err != nil {
			return err
		}
		v.x = y
		if err := v.pass(7); err != nil {
			return err
		}
		got := make([]uint32, 4)
		if err := v.d.Read(y, 0, got); err != nil {
			return err
		}
		if want := [4]uint32{7}; [4]uint32(got) != want {
			fmt.Printf("WRONG: %d, not %d\n", got, want)
		}
		return nil
	}},
	{"close", func(v *victim) error { v.d.Close(); return nil }},
}

// fill makes tensors of 40 MiB until one is refused, frees them all, and does it again: a device must
// hold as many the second time, and its error say what it holds.
func (v *victim) fill() (n int, err error) {
	var made []Tensor
	defer func() {
		for _, x := range made {
			v.d.Free(x)
		}
	}()
	for {
		x, err := v.d.New(Spec{Name: "x", Class: Weights, DType: U32, Shape: []int{10 << 20}})
		if err != nil {
			return len(made), err
		}
		made = append(made, x)
		if len(made) == 1000 {
			return len(made), errors.New("nothing was refused")
		}
	}
}

// makeMany makes 1 GiB in buffers as a GPU has them: without memory of their own.
func makeMany() error {
	d, err := Open(os.Getenv("STEPLM_DEVICE"))
	if err != nil {
		return err
	}
	w := d.(*wdevice)
	for bytes, size := 0, 64<<10; bytes < 1<<30; bytes += size {
		if size = size * 3 / 2 &^ 3; size > 40<<20 {
			size = 64 << 10
		}
		s := Spec{Name: "x", Class: Weights, DType: U32, Shape: []int{size / 4}}
		if _, err := w.buffer(s, s.Bytes(), tensorUsage); err != nil {
			return err
		}
	}
	return nil
}

// sufferLittle fills the device twice.
func sufferLittle() {
	d, err := Open(os.Getenv("STEPLM_DEVICE"))
	if err != nil {
		fmt.Println(err)
		return
	}
	v := &victim{d: d.(*wdevice)}
	for range 2 {
		n, err := v.fill()
		fmt.Printf("%d: %v\n", n, err)
		fmt.Println(errors.As(err, new(*AllocateError)))
	}
	v.d.Close()
}

// A device with a small heap refuses what does not fit with the ledger in its error, and gives back
// what was freed.
func TestSmallHeap(t *testing.T) {
	adapter(t)
	out, words, code := runLittle(t, "little", "FAULTVK_HEAP=335544320")
	m := regexp.MustCompile(
		`^(\d+): (allocate x \(40.0 MiB\): .*; on the device now: weights .*)\ntrue\n(\d+): .*\ntrue\n$`).FindStringSubmatch(out)
	if code != 0 || m == nil || m[1] != m[3] {
		t.Fatalf("exit code %d\n%s%s", code, out, words)
	}
	if n, _ := strconv.Atoi(m[1]); n < 5 || n > 8 {
		t.Errorf("%d tensors of 40 MiB fit into 320 MiB: %s", n, m[2])
	}
}

// A driver may allow as few as 4096 allocations at once, and the library aborts beyond: but it cuts small
// buffers out of large allocations, so that those of a 48 GiB card stay below. Here that is 1 GiB in
// buffers of 64 KiB to 40 MiB, of a device that allows 4096/48.
func TestFewAllocations(t *testing.T) {
	adapter(t)
	if out, words, code := runLittle(t, "many", "FAULTVK_COUNT=85"); code != 0 || out != "<nil>\n" {
		t.Errorf("exit code %d\n%s%s", code, out, words)
	}
}

// runLittle runs a phase on a device with little of something.
func runLittle(t *testing.T, phase, limit string) (out, words string, code int) {
	t.Helper()
	return runVictim(t, "STEPLM_FAULT="+phase+"=", limit, "LD_LIBRARY_PATH="+filepath.Dir(faultyLoader(t)),
		"FAULTVK_REAL="+realLoader(t))
}

// victim is the state of the program that suffers the fault.
type victim struct {
	d *wdevice
	x Tensor
}

// pass counts n times in the first element of x.
func (v *victim) pass(n int) error {
	p := v.d.Begin("victim")
	for range n {
		p.Run(Call{Kernel: &count, Groups: [3]int{1, 1, 1}, Params: []uint32{1, 1}, Tensors: []Tensor{v.x}})
	}
	return p.End()
}

func TestMain(m *testing.M) {
	if phase, fault, ok := strings.Cut(os.Getenv("STEPLM_FAULT"), "="); ok {
		switch phase {
		case "little":
			sufferLittle()
		case "many":
			fmt.Println(makeMany())
		default:
			suffer(phase, fault)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// suffer runs the phases, prints how each ended, and after an error goes on with
// "again".
func suffer(phase, fault string) {
	patience = time.Second
	v := &victim{}
	failed := false
	for _, p := range faultPhases {
		if failed && p.name != "again" && p.name != "close" {
			continue
		}
		if p.name == phase {
			os.Setenv("FAULTVK", fault)
		}
		err := p.do(v)
		os.Unsetenv("FAULTVK")
		fmt.Printf("%s: %v\n", p.name, err)
		if v.d == nil {
			return
		}
		failed = failed || err != nil
	}
}

// gaveUp is what an abort inside the native library must end with.
const gaveUp = "steplm: error: the GPU library gave up"

// Whatever the driver does, the program ends by itself: with a Go error, or,
// where the native library aborts, with one line and exit code 1. It never
// hangs, and never shows Go's stacks.
func TestFaults(t *testing.T) {
	adapter(t)
	lib := faultyLoader(t)
	const noMemory, noHost, lost = "-2", "-1", "-4"
	for _, c := range []struct {
		phase, fault string
		want         []string // lines that must begin so; or only gaveUp, for an abort
	}{
		{"open", "vkCreateDevice:1:-3", []string{"open: open device .*driver refused"}},
		{"open", "vkCreateDevice:1:" + lost, []string{"open: open device .*driver refused"}},
		{"open", "vkAllocateMemory:1:" + noMemory, []string{"open: open device .*driver refused"}},
		{"new", "vkAllocateMemory:1:" + noMemory,
			[]string{`new: allocate x \(64.0 MiB\): .*Not enough memory.* on the device now: scratch`, "again: <nil>"}},
		{"new", "vkAllocateMemory:1:" + noHost, []string{"new: allocate x .*Not enough memory", "again: <nil>"}},
		{"new", "vkCreateBuffer:1:" + noMemory, []string{"new: allocate x .*Not enough memory", "again: <nil>"}},
		{"small", "vkAllocateMemory:1:" + noMemory, []string{"small: <nil>", "again: <nil>"}},
		{"compile", "vkCreateShaderModule:1:" + noMemory,
			[]string{"compile: kernel count does not compile .*Not enough memory", "again: <nil>"}},
		{"compile", "vkCreateComputePipelines:1:" + noMemory,
			[]string{"compile: kernel count does not compile .*Not enough memory", "again: <nil>"}},
		{"compile", "vkCreateComputePipelines:1:" + lost, []string{"compile: kernel count does not compile .*lost"}},
		{"compile", "vkAllocateDescriptorSets:1:" + noMemory,
			[]string{"compile: kernel count with x: .*Not enough memory", "again: <nil>"}},
		{"passes", "vkBeginCommandBuffer:2:" + lost, []string{gaveUp}},
		{"passes", "vkEndCommandBuffer:3:" + noMemory, []string{gaveUp}},
		{"passes", "vkQueueSubmit:5:" + lost, []string{gaveUp}},
		{"passes", "vkQueueSubmit:1:" + noHost, []string{gaveUp}},
		{"passes", "vkQueueSubmit:5:drop", []string{"write: write tensor x: the GPU dropped work",
			"again: .*out of use since", "close: <nil>"}},
		{"passes", "vkQueueSubmit:5:hang", []string{"write: write tensor x: the GPU did not finish within 1s",
			"again: .*out of use since", "close: <nil>"}},
		{"write", "vkAllocateMemory:1:" + noMemory,
			[]string{"write: write tensor x: .*Not enough memory", "again: <nil>"}},
		{"write", "vkMapMemory:1:-5", []string{"write: write tensor x: .*memory", "again: <nil>"}},
		{"write", "vkQueueSubmit:1:" + lost, []string{gaveUp}},
		{"read", "vkQueueSubmit:1:" + lost, []string{gaveUp}},
		{"read", "vkQueueSubmit:1:hang", []string{"read: read tensor x: the GPU did not finish within 1s",
			"again: .*out of use since", "close: <nil>"}},
		{"read", "vkQueueSubmit:2:drop", []string{"read: read tensor x: the GPU dropped work: after 16 submissions",
			"again: .*out of use since"}},
		{"read", "vkGetSemaphoreCounterValue:1:" + lost, []string{gaveUp}},
		{"close", "vkWaitSemaphores:1:" + lost, []string{gaveUp}},
	} {
		t.Run(c.phase+"="+c.fault, func(t *testing.T) {
			t.Parallel()
			out, words, code := runVictim(t, "STEPLM_FAULT="+c.phase+"="+c.fault, "LD_LIBRARY_PATH="+filepath.Dir(lib),
				"FAULTVK_REAL="+realLoader(t))
			wantCode, text := 0, out
			if c.want[0] == gaveUp {
				wantCode, text = 1, words
			}
			for _, w := range c.want {
				if !regexp.MustCompile("(?m)^" + w).MatchString(text) {
					t.Errorf("no line begins with %q", w)
				}
			}
			for _, never := range []string{"WRONG", "goroutine ", "SIGABRT"} {
				if strings.Contains(out+words, never) {
					t.Errorf("it says %q", never)
				}
			}
			if code != wantCode {
				t.Errorf("exit code %d, want %d", code, wantCode)
			}
			if t.Failed() {
				t.Logf("standard output:\n%s\nstandard error:\n%s", out, words)
			}
		})
	}
}

// Without a driver, or with a loader that is none, the error says what to
// install.
func TestNoAdapter(t *testing.T) {
	hollow := loader(t, "-x", "c", os.DevNull)
	for _, env := range [][]string{
		{"VK_ICD_FILENAMES=" + os.DevNull, "VK_DRIVER_FILES=" + os.DevNull},
		{"LD_LIBRARY_PATH=" + filepath.Dir(hollow)},
	} {
		out, words, code := runVictim(t, append(env, "STEPLM_FAULT=open=")...)
		if code != 0 || !strings.Contains(out, "mesa-vulkan-drivers") {
			t.Errorf("%s: exit code %d\n%s\n%s", env, code, out, words)
		}
	}
}

// runVictim runs this binary as the program that suffers a fault.
func runVictim(t *testing.T, env ...string) (out, words string, code int) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	var o, e bytes.Buffer
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%v: it hangs\n%s\n%s", env, &o, &e)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// faultyLoader builds the stand-in for the Vulkan loader.
func faultyLoader(t *testing.T) string {
	t.Helper()
	return loader(t, "-fPIC", "-O1", "-Wall", "-Werror", "testdata/faultvk.c", "-ldl")
}

// loader builds a Vulkan loader. A machine that built this program has a compiler; one that it was
// carried to may have none.
func loader(t *testing.T, args ...string) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skipf("there is no C compiler to build a faulty loader with: %v", err)
	}
	lib := filepath.Join(t.TempDir(), "libvulkan.so.1")
	if out, err := exec.Command(cc, append([]string{"-shared", "-o", lib}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	return lib
}

// realLoader is the path of the loader that this process uses.
func realLoader(t *testing.T) string {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	path := regexp.MustCompile(`/\S*/libvulkan\.so\S*`).Find(maps)
	if path == nil {
		t.Fatal("no Vulkan loader is loaded, though an adapter is open")
	}
	return string(path)
}
