package modeltest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
)

// layouts are models at the moments of a run.
func layouts() map[string]model.Layout {
	c := SmallConfig(false)
	frozen := model.Plain(c, 3)
	frozen.Blocks = []model.BlockLayout{{ID: 0, Frozen: true, Wrapped: true}, {ID: 5},
		{ID: 1, Frozen: true, Wrapped: true}}
	frozen.LoRA = model.LoRALayout{Rank: 3, Alpha: 6, Targets: model.LinearNames()}
	some := frozen
	some.LoRA = model.LoRALayout{Rank: 2, Alpha: 2, Targets: []string{"wq", "wv"}}
	some.TrainEmbedding, some.TrainNorms, some.TrainHead = false, false, false
	return map[string]model.Layout{
		"plain":             model.Plain(c, 3),
		"tied":              model.Plain(SmallConfig(true), 2),
		"inference":         model.Plain(c, 3).ForInference(),
		"frozen":            frozen,
		"some adapters":     some,
		"wrapped inference": frozen.ForInference(),
	}
}

// What a plan says without a device is what a device then holds.
func TestLedgerIsThePlan(t *testing.T) {
	s := model.Size{Batch: 3, SeqLen: 5}
	for name, l := range layouts() {
		t.Run(name, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				m := New(t, d, l, 1)
				s := s
				s.Documents = model.Documents{Mask: model.MaskDocuments, Positions: model.PositionsRestart}
				NewActivations(t, m, s).Free()
				if off := d.Ledger().Difference(gpu.Plan(d.Own(), l.Specs())); off != "" {
					t.Errorf("after what documents take is freed: %s", off)
				}
				with := NewActivations(t, m, s)
				if off := d.Ledger().Difference(gpu.Plan(d.Own(), l.Specs(), model.ActivationSpecs(l, s))); off != "" {
					t.Errorf("with documents: %s", off)
				}
				with.Free()
				s.Documents = model.Documents{}
				a := NewActivations(t, m, s)
				plan := gpu.Plan(d.Own(), l.Specs(), model.ActivationSpecs(l, s))
				if off := d.Ledger().Difference(plan); off != "" {
					t.Error(off)
				}
				a.Free()
				m.Free()
				if off := d.Ledger().Difference(gpu.Plan(d.Own())); off != "" {
					t.Errorf("after all is freed: %s", off)
				}
			})
		})
	}
}

// Weight decay is for matrices: norms never decay, in no layout, neither in a plan
// nor on a device.
func TestDecay(t *testing.T) {
	for name, l := range layouts() {
		planned := map[string]model.Role{}
		for _, s := range l.Params() {
			planned[s.Weight.Name] = s.Role
		}
		for _, p := range New(t, gpu.NewHost(), l, 1).Params() {
			want := !strings.HasSuffix(p.Name, "norm")
			if p.Role != planned[p.Name] || p.Role.Decays() != want {
				t.Errorf("%s is a %s, planned %s; it decays: %v, want %v", name+" "+p.Name, p.Role, planned[p.Name],
					p.Role.Decays(), want)
			}
		}
	}
}

// The specs of a layout by hand: weights and gradients of a frozen block with
// two adapters.
func TestSpecs(t *testing.T) {
	l := model.Plain(SmallConfig(true), 1)
	l.Blocks[0] = model.BlockLayout{ID: 9, Frozen: true, Wrapped: true}
	l.LoRA = model.LoRALayout{Rank: 2, Alpha: 2, Targets: []string{"wk", "down"}}
	var got []string
	for _, s := range l.Specs() {
		got = append(got, s.String())
	}
	want := strings.Split(strings.TrimSpace(`
embed f32[11 16] weights
embed.grad f32[11 16] gradients
blocks.9.attn_norm f32[16] weights
blocks.9.attn_norm.grad f32[16] gradients
blocks.9.wq f32[16 16] weights
blocks.9.wk f32[8 16] weights
blocks.9.wk.lora_a f32[2 16] adapters
blocks.9.wk.lora_a.grad f32[2 16] gradients
blocks.9.wk.lora_b f32[8 2] adapters
blocks.9.wk.lora_b.grad f32[8 2] gradients
blocks.9.wv f32[8 16] weights
blocks.9.wo f32[16 16] weights
blocks.9.ffn_norm f32[16] weights
blocks.9.ffn_norm.grad f32[16] gradients
blocks.9.gate f32[24 16] weights
blocks.9.up f32[24 16] weights
blocks.9.down f32[16 24] weights
blocks.9.down.lora_a f32[2 24] adapters
blocks.9.down.lora_a.grad f32[2 24] gradients
blocks.9.down.lora_b f32[16 2] adapters
blocks.9.down.lora_b.grad f32[16 2] gradients
norm f32[16] weights
norm.grad f32[16] gradients`), "\n")
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	trains, frozen := l.Count()
	if w := int64(11*16 + 3*16 + 2*(16+8) + 2*(24+16)); trains != w {
		t.Errorf("%d trainable, want %d", trains, w)
	}
	if w := int64(2*16*16 + 2*8*16 + 3*16*24); frozen != w {
		t.Errorf("%d frozen, want %d", frozen, w)
	}
}

// Every layout turns into every other: what both have keeps its bits, the rest
// starts as zeros, and no more is held on the way than at the larger end.
func TestApply(t *testing.T) {
	all := layouts()
	delete(all, "tied") // another configuration
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		for from, before := range all {
			for to, after := range all {
				t.Run(fmt.Sprintf("%s to %s", from, to), func(t *testing.T) { testApply(t, d, before, after) })
			}
		}
	})
}

func testApply(t *testing.T, d gpu.Device, before, after model.Layout) {
	m := New(t, d, before, 2)
	defer m.Free()
	shapes, kept := map[string][]int{}, map[string][]float32{}
	for _, p := range m.Params() {
		shapes[p.Name], kept[p.Name] = p.Weight.Shape, gputest.Read(t, d, p.Weight)
		if p.Trainable() {
			kept[p.Name+".grad"] = Scrambled(p.Grad.Spec, 3)
			if err := gpu.WriteF32(d, p.Grad, kept[p.Name+".grad"]); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.Ledger().ResetPeak()
	if err := m.Apply(after); err != nil {
		t.Fatal(err)
	}
	plan := gpu.Plan(d.Own(), after.Specs())
	if off := d.Ledger().Difference(plan); off != "" {
		t.Error(off)
	}
	if peak, most := d.Ledger().Peak(), max(plan.Total(), gpu.Plan(d.Own(), before.Specs()).Total()); peak > most {
		t.Errorf("%d bytes at the peak, %d at the larger end", peak, most)
	}
	got, want := map[string][]float32{}, map[string][]float32{}
	expect := func(name string, x gpu.Tensor, same bool) {
		got[name], want[name] = gputest.Read(t, d, x), make([]float32, x.Elements())
		if values, ok := kept[name]; ok && same {
			want[name] = values
		}
	}
	for _, s := range after.Params() {
		p := m.Param(s.Weight.Name)
		same := slices.Equal(shapes[p.Name], s.Weight.Shape)
		expect(p.Name, p.Weight, same)
		if p.Trainable() != (s.Grad.Name != "") {
			t.Errorf("%s: trainable %t", p.Name, p.Trainable())
		}
		if p.Trainable() {
			expect(p.Name+".grad", p.Grad, same)
		}
	}
	Bits(t, "applied", got, want)
}

func TestLayoutRefuses(t *testing.T) {
	c := SmallConfig(false)
	wrapped := func(rank int, targets ...string) model.Layout {
		l := model.Plain(c, 2)
		l.Blocks[1].Wrapped = true
		l.LoRA = model.LoRALayout{Rank: rank, Alpha: 1, Targets: targets}
		return l
	}
	twice := model.Plain(c, 3)
	twice.Blocks[2].ID = 0
	odd := model.Plain(c, 2)
	odd.Heads = 3
	for name, c := range map[string]struct {
		l    model.Layout
		want []string
	}{
		"the same ID twice":     {twice, []string{"block ID 0", "twice"}},
		"no blocks":             {model.Plain(c, 0), []string{"no blocks"}},
		"rank 0":                {wrapped(0, "wq"), []string{"rank 0", "1 or more"}},
		"rank below 0":          {wrapped(-2, "wq"), []string{"rank -2"}},
		"rank above the matrix": {wrapped(9, "wq", "wk"), []string{"rank 9", "wk", "8 x 16", "at most 8"}},
		"an unknown target":     {wrapped(2, "wq", "wz"), []string{`"wz"`, "gate"}},
		"no target":             {wrapped(2), []string{"no target", "gate"}},
		"the configuration":     {odd, []string{"hidden_size 16", "num_attention_heads 3"}},
	} {
		d := gpu.NewHost()
		_, err := model.New(d, c.l)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
		m := New(t, d, model.Plain(SmallConfig(false), 1), 1)
		held := d.Ledger().Total()
		if err := m.Apply(c.l); err == nil || d.Ledger().Total() != held {
			t.Errorf("%s: applied (%v), %d bytes after %d", name, err, d.Ledger().Total(), held)
		}
	}
	// Adapters that no block carries are nobody's concern.
	l := wrapped(0)
	l.Blocks[1].Wrapped = false
	if err := l.Validate(); err != nil {
		t.Error(err)
	}
	if err := wrapped(8, "wk").Validate(); err != nil {
		t.Error(err)
	}
}

func TestActivationsRefuse(t *testing.T) {
	d := gpu.NewHost()
	l := model.Plain(SmallConfig(false), 1)
	for _, c := range []struct {
		size model.Size
		want []string
	}{
		{model.Size{Batch: 1, SeqLen: 33}, []string{"sequence length 33", "32 positions"}},
		{model.Size{Batch: 0, SeqLen: 8}, []string{"batch size 0", "1 or more"}},
		{model.Size{Batch: 2, SeqLen: 0}, []string{"sequence length 0", "1 or more"}},
	} {
		_, err := model.NewActivations(d, l, c.size)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want %q", c.size, err, want)
			}
		}
	}
	if held := d.Ledger().Total(); held != 0 {
		t.Errorf("%d bytes stayed", held)
	}
	m := New(t, d, l, 1)
	a := NewActivations(t, m, model.Size{Batch: 1, SeqLen: 32})
	err := SomeBatch(1, model.Size{Batch: 1, SeqLen: 31}, 11).Onto(a)
	if err == nil || !strings.Contains(err.Error(), "31 inputs") || !strings.Contains(err.Error(), "32 rows") {
		t.Errorf("a short batch: %v", err)
	}
}

// A device that is full gives back what was taken, with the error.
func TestNoMemory(t *testing.T) {
	l := model.Plain(SmallConfig(false), 3)
	for room := range len(l.Specs()) {
		d := &full{Device: gpu.NewHost(), room: room}
		if _, err := model.New(d, l); err == nil || d.Ledger().Total() != 0 {
			t.Fatalf("room for %d tensors: %v, %d bytes stayed", room, err, d.Ledger().Total())
		}
	}
	s := model.Size{Batch: 1, SeqLen: 4}
	for room := range len(model.ActivationSpecs(l, s)) {
		d := &full{Device: gpu.NewHost(), room: room}
		if _, err := model.NewActivations(d, l, s); err == nil || d.Ledger().Total() != 0 {
			t.Fatalf("room for %d tensors: %v, %d bytes stayed", room, err, d.Ledger().Total())
		}
	}
}

// full is a device with room for so many tensors.
type full struct {
	gpu.Device
	room int
}

func (f *full) New(s gpu.Spec) (gpu.Tensor, error) {
	if f.room == 0 {
		return gpu.Tensor{}, fmt.Errorf("no memory for %s", s.Name)
	}
	f.room--
	return f.Device.New(s)
}
