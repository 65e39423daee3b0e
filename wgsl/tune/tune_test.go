package tune

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl"
	"steplm/wgsl/attention"
	"steplm/wgsl/matmul"
)

var quick = Options{Budget: 200 * time.Millisecond}

func TestMatmulClass(t *testing.T) {
	d := gputest.Adapter(t)
	before := d.Ledger().Total()
	for _, transpose := range []string{"nn", "nt", "tn"} {
		c, err := matmul.NewClass(transpose, gpu.BF16, gpu.BF16, gpu.BF16, 40, 72, 24, d.Limits())
		if err != nil {
			t.Fatal(err)
		}
		r, err := Class(context.Background(), d, c, quick)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Excluded) > 0 || r.Tried < 2 || !slices.Contains(c.Variants(d.Limits()), r.Variant) ||
			!(r.GFLOPS > 0) || r.GFLOPS < r.Default {
			t.Errorf("%+v", r)
		}
	}
	if after := d.Ledger().Total(); after != before {
		t.Errorf("trials left %d bytes", after-before)
	}
}

// fake is a class whose variants write a number of their own, over and over.
type fake struct {
	values map[string]uint32
	names  []string
	check  error
}

func (f fake) String() string               { return "fake" }
func (f fake) Variants(gpu.Limits) []string { return f.names }
func (f fake) Kernel(v string) *gpu.Kernel {
	return &gpu.Kernel{Name: "fake_" + v, Workgroup: [3]int{1, 1, 1}, Access: []gpu.Access{gpu.Write},
		Host: func(a gpu.Args) { a.U(0)[0] = f.values[v] }}
}

func (f fake) Trial(d gpu.Device) (*wgsl.Trial, error) {
	x, err := d.New(gpu.Spec{Name: "x", Class: gpu.Scratch, DType: gpu.U32, Shape: []int{1}})
	if err != nil {
		return nil, err
	}
	return &wgsl.Trial{Outputs: []gpu.Tensor{x}, Work: 1, Check: func() error { return f.check },
		Run: func(p *gpu.Pass, v string) {
			if v == "broken" {
				p.Fail(errors.New("does not compile"))
			}
			p.Run(gpu.Call{Kernel: f.Kernel(v), Groups: [3]int{1, 1, 1}, Tensors: []gpu.Tensor{x}})
		}}, nil
}

func TestWrongVariantsAreLeftOut(t *testing.T) {
	f := fake{values: map[string]uint32{"a": 7, "b": 8, "broken": 7, "c": 7},
		names: []string{"a", "b", "broken", "c", "refused"}}
	o := quick
	o.Compiles = func(k *gpu.Kernel) error {
		if k.Name == "fake_refused" {
			return errors.New("its compiler died")
		}
		return nil
	}
	r, err := Class(context.Background(), gpu.NewHost(), f, o)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"b: other bits than a", "broken: does not compile", "refused: its compiler died"}
	if !slices.Equal(r.Excluded, want) || r.Tried != 2 || r.Variant == "b" {
		t.Errorf("%+v", r)
	}
	f.check = errors.New("output 0 is 7 where 9 is right")
	if _, err := Class(context.Background(), gpu.NewHost(), f, quick); err == nil ||
		!strings.Contains(err.Error(), "cannot compute fake: output 0 is 7 where 9 is right") {
		t.Errorf("error %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := Class(ctx, gpu.NewHost(), f, quick); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// A variant that spills is slow to run, slow to compile or both: it gets one turn, and compiling stops when it
// has taken ten times the time of the trials.
func TestSlowVariantsTakeLittleTime(t *testing.T) {
	runs := map[string]int{}
	f := slow{fake{values: map[string]uint32{"a": 7, "spills": 7, "c": 7}, names: []string{"a", "spills", "c"}}, runs}
	r, err := Class(context.Background(), gpu.NewHost(), f, Options{Budget: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if runs["spills"] != 2 || runs["c"] <= 2 || r.Tried != 3 { // Its bits, and one turn.
		t.Errorf("runs %v: %+v", runs, r)
	}
	var compiled []string
	o := Options{Budget: 100 * time.Millisecond, Compiles: func(k *gpu.Kernel) error {
		compiled = append(compiled, k.Name)
		if k.Name == "fake_spills" {
			time.Sleep(1100 * time.Millisecond)
		}
		return nil
	}}
	if r, err = Class(context.Background(), gpu.NewHost(), f, o); err != nil || r.Tried != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if want := []string{"fake_a", "fake_spills"}; !slices.Equal(compiled, want) {
		t.Errorf("compiled %v, want %v", compiled, want)
	}
}

// One timing that something else disturbs chooses no variant, however little time there is.
func TestOneTimingDecidesNothing(t *testing.T) {
	f := disturbed{slow{fake{values: map[string]uint32{"a": 7, "c": 7}, names: []string{"a", "c"}}, map[string]int{}}}
	r, err := Class(context.Background(), gpu.NewHost(), f, Options{Budget: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if r.Variant != "a" || r.Tried != 2 {
		t.Errorf("%+v", r)
	}
}

// disturbed is a class whose default takes long once: in its first turn against c, which is slower than it.
type disturbed struct{ slow }

func (f disturbed) Trial(d gpu.Device) (*wgsl.Trial, error) {
	t, err := f.slow.Trial(d)
	if err != nil {
		return nil, err
	}
	run := t.Run
	t.Run = func(p *gpu.Pass, v string) {
		run(p, v)
		switch {
		case v == "c":
			time.Sleep(60 * time.Millisecond)
		case f.runs["a"] == 3: // After the one for its bits, and the one that tells how long it takes.
			time.Sleep(time.Second)
		default:
			time.Sleep(20 * time.Millisecond)
		}
	}
	return t, nil
}

// slow is a class one of whose variants takes long; runs counts those of each.
type slow struct {
	fake
	runs map[string]int
}

func (f slow) Trial(d gpu.Device) (*wgsl.Trial, error) {
	t, err := f.fake.Trial(d)
	if err != nil {
		return nil, err
	}
	run := t.Run
	t.Run = func(p *gpu.Pass, v string) {
		f.runs[v]++
		time.Sleep(map[string]time.Duration{"a": time.Millisecond, "c": time.Millisecond, "spills": time.Second / 2}[v])
		run(p, v)
	}
	return t, nil
}

func TestCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "tune")
	d := gpu.NewHost()
	open := func() (*Cache, error) { return OpenCache(dir, d) }
	c, warning := open()
	if warning != nil {
		t.Fatal(warning)
	}
	other, _ := open() // another process
	other.Add(Result{Class: "y", Variant: "2"})
	c.Add(Result{Class: "x", Variant: "1"})
	if err := errors.Join(other.Unwritten(), c.Unwritten()); err != nil {
		t.Fatal(err)
	}
	c, warning = open()
	x, ok1 := c.Find("x")
	y, ok2 := c.Find("y")
	if warning != nil || !ok1 || !ok2 || x.Variant != "1" || y.Variant != "2" {
		t.Errorf("%v %v, %v", x, y, warning)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%d files", len(files))
	}
	for _, content := range []string{"{", `{"device": "another"}`} {
		if err := os.WriteFile(c.Path(), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		c, warning = open()
		if _, ok := c.Find("x"); ok || warning == nil || !strings.Contains(warning.Error(), c.Path()) {
			t.Errorf("warning %v", warning)
		}
	}
}

// What cannot be written, or has no place, is there for the process that found it.
func TestCacheThatIsNotWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for dir, says := range map[string]string{filepath.Join(file, "tune"): file, "": ""} {
		c, _ := OpenCache(dir, gpu.NewHost())
		c.Add(Result{Class: "x", Variant: "1"})
		if r, ok := c.Find("x"); !ok || r.Variant != "1" {
			t.Errorf("%q: %v", dir, r)
		}
		if err := c.Unwritten(); (err != nil) != (says != "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", dir, err)
		}
	}
}

func TestRunTakesTheCacheFirst(t *testing.T) {
	d := gpu.NewHost()
	c, _ := OpenCache(t.TempDir(), d)
	class, err := matmul.NewClass("nt", gpu.F32, gpu.F32, gpu.F32, 8, 8, 8, d.Limits())
	if err != nil {
		t.Fatal(err)
	}
	known := class.String()
	c.Add(Result{Class: known, Variant: "16x4_8x1_by4_0"})
	const unknown = "matmul nn f32 f32 f32 5x6x7"
	asked := 0
	results, err := Run(context.Background(), d, []string{known, unknown}, c, quick, func(i, n int, class string) {
		asked++
		if i != 0 || n != 1 || class != unknown {
			t.Errorf("%d of %d: %s", i, n, class)
		}
	})
	if err != nil || len(results) != 2 || asked != 1 {
		t.Fatalf("%v %d %v", results, asked, err)
	}
	if d.Choices().Chosen(known) != "16x4_8x1_by4_0" || d.Choices().Chosen(unknown) == "" {
		t.Errorf("choices %q %q", d.Choices().Chosen(known), d.Choices().Chosen(unknown))
	}
	if _, err := Run(context.Background(), d, []string{"matmul of nothing"}, c, quick, nil); err == nil {
		t.Error("an unknown class was tuned")
	}
}

func TestNeeded(t *testing.T) {
	d := gpu.NewDry(gpu.Limits{Budget: 10})
	d.Choices().Set("chosen", "v")
	got := Needed(d, map[string]float64{"little": 299, "some": 300, "most": 1e4, "chosen": 1e9})
	if !slices.Equal(got, []string{"most", "some"}) {
		t.Errorf("%v", got)
	}
}

func TestAttentionClasses(t *testing.T) {
	d := gputest.Adapter(t)
	s := attention.Shape{B: 2, T: 70, H: 4, KV: 2, D: 6}
	classes, err := attention.Classes(gpu.F32, s, d.Limits())
	if err != nil {
		t.Fatal(err)
	}
	s.Documents = true
	documents, err := attention.Classes(gpu.F32, s, d.Limits())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range append(classes, documents...) {
		again, err := wgsl.ParseClass(c.String())
		if err != nil || again != c {
			t.Errorf("%s is read as %v: %v", c, again, err)
		}
		r, err := Class(context.Background(), d, c, quick)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Excluded) > 0 || !slices.Contains(c.Variants(d.Limits()), r.Variant) || !(r.GFLOPS > 0) {
			t.Errorf("%+v", r)
		}
	}
}

// The kernels that GPUs take where a model generates are tuned like others: on a device that says it is one.
func TestDecodeClasses(t *testing.T) {
	d := gputest.Adapter(t)
	defer gpu.AsGPU(d)()
	for _, word := range []string{"matmul_lanes f32 f32 f32 4x40x200", "matmul_lanes f32 bf16 bf16 1x72x64",
		"attention_spread bf16 d8 r2 h4 kv2", "attention_cached f32 d6 r4 h4 kv2"} {
		c, err := wgsl.ParseClass(word)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Class(context.Background(), d, c, quick)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Excluded) > 0 || r.Tried < 2 || !slices.Contains(c.Variants(d.Limits()), r.Variant) ||
			!(r.GFLOPS > 0) {
			t.Errorf("%s: %+v", word, r)
		}
	}
	for _, word := range []string{"matmul_lanes f32 f32 f32 0x1x1", "attention_spread f32 d7 r1 h1 kv1",
		"attention_spread bf16 d8 r2 h3 kv2", "attention_other f32 d8 r1 h1 kv1"} {
		if _, err := wgsl.ParseClass(word); err == nil {
			t.Errorf("%s is a class", word)
		}
	}
}
