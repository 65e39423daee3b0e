package model

import (
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model/checkpoint"
)

// replaceTensors makes another table the one of what a block consists of, until the test
// ends.
func replaceTensors(t *testing.T, list []tensorRow) {
	saved := blockTensors
	blockTensors = list
	t.Cleanup(func() { blockTensors = saved })
}

// addTensor adds a row to the table until the test ends: behind wq, so that nothing can
// count on the rows' number or on what stands last.
func addTensor(t *testing.T, row tensorRow) {
	replaceTensors(t, slices.Insert(slices.Clone(blockTensors), 2, row))
}

// tableConfig has no dimension twice.
var tableConfig = Config{Hidden: 16, FFN: 24, Layers: 3, Heads: 4, KVHeads: 2, Vocab: 11, MaxSeqLen: 32, NormEps: 1e-5,
	RopeTheta: 10000}

// toyBias is a tensor that no block has yet. Forward does not read it, so that this is
// about all else.
func toyBias() tensorRow {
	var found *Param
	return tensorRow{
		name: "bq", role: RoleBias, shape: vector(Config.QDim), hf: "self_attn.q_proj.bias",
		param: func(*Block) **Param { return &found },
	}
}

// A row added to the table is counted, planned, made, initialised, grown, frozen, written
// and read, without a line elsewhere.
func TestOneRowIsEnough(t *testing.T) {
	c := tableConfig
	block, total := c.BlockParams(), c.TotalParams()
	linears := c.LayerParams()
	addTensor(t, toyBias())
	if c.BlockParams() != block+16 || c.TotalParams() != total+16*int64(c.Layers) || c.LayerParams() != linears {
		t.Errorf("%d parameters in a block and %d in all, want %d and %d",
			c.BlockParams(), c.TotalParams(), block+16, total+16*int64(c.Layers))
	}
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		l := Plain(c, 2)
		m, err := New(d, l)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Free)
		if off := d.Ledger().Difference(gpu.Plan(d.Own(), l.Specs())); off != "" {
			t.Errorf("not what is planned: %s", off)
		}
		if trains, _ := l.Count(); trains != 2*c.BlockParams()+total-int64(c.Layers)*block {
			t.Errorf("%d parameters of 2 blocks train", trains)
		}

		set := func(p *Param, values []float32) {
			t.Helper()
			if err := m.WriteRows(p, 0, values); err != nil {
				t.Fatal(err)
			}
		}
		// It begins at zero, whatever was there, and does not decay.
		low, high := m.Param("blocks.0.bq"), m.Param("blocks.1.bq")
		set(low, slices.Repeat([]float32{7}, 16))
		if err := m.Init(1, nil); err != nil {
			t.Fatal(err)
		}
		if got := gputest.Read(t, d, low.Weight); slices.ContainsFunc(got, func(x float32) bool { return x != 0 }) {
			t.Errorf("a fresh bias is %v", got)
		}
		if low.Role.Decays() || low.Block != 0 || high.Block != 1 {
			t.Errorf("biases %+v and %+v", low, high)
		}

		// A new block interpolates it; what freezes loses its gradient.
		set(low, slices.Repeat([]float32{1}, 16))
		set(high, slices.Repeat([]float32{3}, 16))
		grown := l
		grown.Blocks = []BlockLayout{{ID: 0, Frozen: true}, {ID: 2}, {ID: 1, Frozen: true}}
		if err := m.Apply(grown); err != nil {
			t.Fatal(err)
		}
		x, err := m.NewMixer()
		if err != nil {
			t.Fatal(err)
		}
		defer x.Free()
		p := d.Begin(t.Name())
		x.Interpolate(p, m.Blocks[1], m.Blocks[0], m.Blocks[2], 0.75, 0.25)
		if err := p.End(); err != nil {
			t.Fatal(err)
		}
		fresh := m.Param("blocks.2.bq")
		if got := gputest.Read(t, d, fresh.Weight); slices.ContainsFunc(got, func(x float32) bool { return x != 1.5 }) {
			t.Errorf("a quarter of the way from 1 to 3 is %v", got)
		}
		if !fresh.Trainable() || low.Trainable() || high.Trainable() {
			t.Errorf("biases train: %v in the new block, %v and %v in frozen ones",
				fresh.Trainable(), low.Trainable(), high.Trainable())
		}

		// As written to files and read from them it is the same model.
		merged, err := m.Merged()
		if err != nil {
			t.Fatal(err)
		}
		defer merged.Free()
		if !slices.ContainsFunc(merged.Config.HFTensors(checkpoint.F32), func(i checkpoint.Info) bool {
			return i.Name == "model.layers.2.self_attn.q_proj.bias" && slices.Equal(i.Shape, []int{16})
		}) {
			t.Errorf("no bias among %v", merged.Config.HFTensors(checkpoint.F32))
		}
		again, err := New(d, Plain(merged.Config, merged.Config.Layers).ForInference())
		if err != nil {
			t.Fatal(err)
		}
		defer again.Free()
		if err := again.Read(merged); err != nil {
			t.Fatal(err)
		}
		for i, want := range []float32{1, 1.5, 3} {
			for _, got := range gputest.Read(t, d, again.Param(again.Layout.Blocks[i].Name("bq")).Weight) {
				if got != want {
					t.Fatalf("layer %d's bias is %g after a round trip, was %g", i, got, want)
				}
			}
		}
	})
}

// What the code that goes over the table could not handle is refused before anything is
// counted or made.
func TestTableIsChecked(t *testing.T) {
	c := tableConfig
	for name, change := range map[string]func(*tensorRow){
		`"bq" has the unknown role Role(0)`:   func(row *tensorRow) { row.role = 0 },
		`"bq" has the unknown role Role(200)`: func(row *tensorRow) { row.role = 200 },
		"stands outside the blocks":           func(row *tensorRow) { row.role = RoleHead },
		`has the name ""`:                     func(row *tensorRow) { row.name = "" },
		`has the name "wq"`:                   func(row *tensorRow) { row.name = "wq" },
		`has the name "w.q"`:                  func(row *tensorRow) { row.name = "w.q" },
		"bq has the name \"\" in files":       func(row *tensorRow) { row.hf = "" },
		"up has the name \"mlp.up":            func(row *tensorRow) { row.hf = "mlp.up_proj.weight" },
		"no shape of 1 dimensions":            func(row *tensorRow) { row.shape = vocabulary },
		"bq, a bias, is not where":            func(row *tensorRow) { row.param = nil },
		"bq, a norm, is not where":            func(row *tensorRow) { row.role, row.param = RoleNorm, nil },
		"no shape of 2 dimensions":            func(row *tensorRow) { row.role = RoleLinear },
	} {
		t.Run(name, func(t *testing.T) {
			row := toyBias()
			change(&row)
			addTensor(t, row)
			_, made := New(gpu.NewHost(), Plain(c, 1))
			for _, err := range []error{c.Validate(), Plain(c, 1).Validate(), made} {
				if err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("error %v", err)
				}
			}
		})
	}
}

// Every role says how a tensor begins, and with what: see Init.
func TestRoles(t *testing.T) {
	for role := RoleEmbedding; role <= RoleLoRAB; role++ {
		what, known := roles[role]
		if !known || what.name == "" || what.trains == nil || what.begin == nil || what.dims < 1 {
			t.Fatalf("role %d: %+v", role, what)
		}
		if role.Decays() != (what.dims == 2) {
			t.Errorf("a %s of %d dimensions decays: %v", role, what.dims, role.Decays())
		}
	}
	if next := RoleLoRAB + 1; len(roles) != int(RoleLoRAB) || roles[next].begin != nil {
		t.Errorf("%d roles are described", len(roles))
	}
	if Role(0).LoRA() || !RoleLoRAA.LoRA() || !RoleLoRAB.LoRA() || RoleLinear.LoRA() {
		t.Error("LoRA's roles")
	}
}
