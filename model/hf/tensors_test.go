package hf_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/hf"
	"steplm/model/modeltest"
)

func TestNames(t *testing.T) {
	c := modeltest.SmallConfig(false)
	c.Layers = 11
	names := modeltest.HFNames(modeltest.New(t, gpu.NewHost(), model.Plain(c, c.Layers), 1))
	for _, c := range []struct{ name, hf string }{
		{"embed", "model.embed_tokens.weight"},
		{"norm", "model.norm.weight"},
		{"head", "lm_head.weight"},
		{"blocks.0.attn_norm", "model.layers.0.input_layernorm.weight"},
		{"blocks.3.wq", "model.layers.3.self_attn.q_proj.weight"},
		{"blocks.10.wk", "model.layers.10.self_attn.k_proj.weight"},
		{"blocks.1.wv", "model.layers.1.self_attn.v_proj.weight"},
		{"blocks.1.wo", "model.layers.1.self_attn.o_proj.weight"},
		{"blocks.1.ffn_norm", "model.layers.1.post_attention_layernorm.weight"},
		{"blocks.1.gate", "model.layers.1.mlp.gate_proj.weight"},
		{"blocks.1.up", "model.layers.1.mlp.up_proj.weight"},
		{"blocks.1.down", "model.layers.1.mlp.down_proj.weight"},
	} {
		if got := names[c.name]; got != c.hf {
			t.Errorf("%s = %q, want %q", c.name, got, c.hf)
		}
	}
	if got := names["blocks.0.wz"]; got != "" {
		t.Errorf("wz = %q", got)
	}
}

// inMemory is a model whose element i of the tensor n-th in the file is
// n + i/64: exact in F32.
type inMemory struct {
	infos []checkpoint.Info
}

func (m inMemory) find(name string) int {
	return slices.IndexFunc(m.infos, func(i checkpoint.Info) bool { return i.Name == name })
}

func (m inMemory) Shape(name string) ([]int, bool) {
	n := m.find(name)
	if n < 0 {
		return nil, false
	}
	return m.infos[n].Shape, true
}

func (m inMemory) ReadF32(name string, at int, dst []float32) error {
	n := m.find(name)
	if n < 0 || at+len(dst) > m.infos[n].Elements() {
		return fmt.Errorf("%s: %d elements from %d", name, len(dst), at)
	}
	for i := range dst {
		dst[i] = float32(n) + float32(at+i)/64
	}
	return nil
}

func (m inMemory) Names() []string {
	var names []string
	for _, i := range m.infos {
		names = append(names, i.Name)
	}
	return names
}

var (
	_ model.Weights = inMemory{}
	_ model.Weights = (*checkpoint.Tensors)(nil)
)

// writeModel saves a model as a Hugging Face directory and returns where.
func writeModel(t *testing.T, c model.Config, w model.Weights, dtype checkpoint.DType, shardBytes int64) string {
	t.Helper()
	parent := t.TempDir()
	d, err := checkpoint.Begin(parent, "model")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	one, two := 1, 2
	if err := errors.Join(modeltest.WriteFiles(d, c, w, dtype, shardBytes, &one, &two), d.Commit()); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(parent, "model")
}

func TestWriteThenOpen(t *testing.T) {
	for _, c := range []struct {
		tied       bool
		dtype      checkpoint.DType
		shardBytes int64
		tolerance  float64 // half a unit in the last place, relative
	}{{true, "F32", 0, 0}, {false, "F32", 2000, 0}, {false, "BF16", 0, 0x1p-8}, {true, "F16", 900, 0x1p-11}} {
		config := modeltest.SmallConfig(c.tied)
		source := inMemory{config.HFTensors("F32")}
		dir := writeModel(t, config, source, c.dtype, c.shardBytes)
		if err := checkpoint.Verify(dir); err != nil {
			t.Fatal(err)
		}
		if sharded := len(glob(t, dir, "*.safetensors")) > 1; sharded != (c.shardBytes > 0) {
			t.Errorf("%+v: %v", c, glob(t, dir, "*"))
		}
		got, tensors, err := hf.OpenTensors(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer tensors.Close()
		if got != config {
			t.Errorf("configuration %+v, want %+v", got, config)
		}
		if unused := hf.Unused(got, tensors); len(unused) > 0 {
			t.Errorf("unused: %v", unused)
		}
		for _, i := range source.infos {
			want, have := make([]float32, i.Elements()), make([]float32, i.Elements())
			if err := errors.Join(source.ReadF32(i.Name, 0, want), tensors.ReadF32(i.Name, 0, have)); err != nil {
				t.Fatal(err)
			}
			for n := range want {
				if math.Abs(float64(have[n]-want[n])) > c.tolerance*math.Abs(float64(want[n])) {
					t.Fatalf("%s as %s: element %d is %g, want %g within %g", i.Name, c.dtype, n, have[n], want[n],
						c.tolerance)
				}
			}
		}
	}
}

func TestWriteTensorsRefuses(t *testing.T) {
	c := modeltest.SmallConfig(false)
	for _, bad := range []struct {
		dtype checkpoint.DType
		w     model.Weights
		want  string
	}{
		{"I64", inMemory{c.HFTensors("F32")}, `"I64"`},
		{"F32", inMemory{c.HFTensors("F32")[:5]}, "has shape"},
		{"F32", inMemory{modeltest.SmallConfig(true).HFTensors("F32")}, "lm_head.weight has shape []"},
	} {
		parent := t.TempDir()
		d, err := checkpoint.Begin(parent, "model")
		if err != nil {
			t.Fatal(err)
		}
		if err := hf.WriteTensors(d, c, bad.w, bad.dtype, 0); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%v, want %q", err, bad.want)
		}
		if err := d.Abort(); err != nil {
			t.Error(err)
		}
		if left := glob(t, parent, "*"); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}

// writeTensors makes a directory of any tensors with the configuration's
// config.json: what another program could hand over.
func writeTensors(t *testing.T, c model.Config, infos []checkpoint.Info) string {
	t.Helper()
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := checkpoint.Create(out, infos)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		if err := w.WriteRaw(i.Name, make([]byte, i.Bytes())); err != nil {
			t.Fatal(err)
		}
	}
	config, err := os.Create(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), out.Close(), hf.WriteConfig(config, c, "float32", hf.SpecialIDs{}),
		config.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOpenChecksTensors(t *testing.T) {
	extra := func(name string, shape ...int) func(l []checkpoint.Info) []checkpoint.Info {
		return func(l []checkpoint.Info) []checkpoint.Info {
			return append(l, checkpoint.Info{Name: name, DType: "F32", Shape: shape})
		}
	}
	for _, c := range []struct {
		name   string
		tied   bool
		change func(l []checkpoint.Info) []checkpoint.Info
		want   string // of the error; none when empty
		unused []string
	}{
		{"whole", false, slices.Clone[[]checkpoint.Info], "", nil},
		{"tied with a copy", true, extra("lm_head.weight", 11, 16), "", nil},
		{"tied with another head", true, extra("lm_head.weight", 12, 16),
			"lm_head.weight has shape [12 16], but is tied", nil},
		{"inv_freq", true, extra("model.layers.0.self_attn.rotary_emb.inv_freq", 2), "", nil},
		{"bias", true, extra("model.layers.0.self_attn.q_proj.bias", 16), "",
			[]string{"model.layers.0.self_attn.q_proj.bias"}},
		{"a layer too many", true, extra("model.layers.3.mlp.up_proj.weight", 24, 16), "",
			[]string{"model.layers.3.mlp.up_proj.weight"}},
		{"no head", false, func(l []checkpoint.Info) []checkpoint.Info { return l[:len(l)-1] },
			"1 of the 30 tensors that config.json requires are missing or wrong: lm_head.weight is missing and " +
				"tie_word_embeddings is false", nil},
		{"a layer too few", false, func(l []checkpoint.Info) []checkpoint.Info {
			return append(slices.Clone(l[:19]), l[28:]...)
		},
			"9 of the 30 tensors that config.json requires are missing or wrong: " +
				"model.layers.2.input_layernorm.weight is missing", nil},
		{"transposed", false, func(l []checkpoint.Info) []checkpoint.Info {
			l[3].Shape = []int{16, 8}
			return l
		}, "model.layers.0.self_attn.k_proj.weight has shape [16 8], config.json requires [8 16]", nil},
		{"rank", false, func(l []checkpoint.Info) []checkpoint.Info {
			l[1].Shape = []int{1, 16}
			return l
		}, "model.layers.0.input_layernorm.weight has shape [1 16], config.json requires [16]", nil},
		{"integers", false, func(l []checkpoint.Info) []checkpoint.Info {
			l[0].DType = "I8"
			return l
		}, "model.embed_tokens.weight is I8", nil},
	} {
		config := modeltest.SmallConfig(c.tied)
		dir := writeTensors(t, config, c.change(config.HFTensors("F32")))
		got, tensors, err := hf.OpenTensors(dir)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%s: %v, want %q", c.name, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if unused := hf.Unused(got, tensors); !slices.Equal(unused, c.unused) {
			t.Errorf("%s: unused %v, want %v", c.name, unused, c.unused)
		}
		// A model with a tensor that has no place is refused, not loaded without it.
		m, err := hf.Load(gpu.NewHost(), dir)
		if len(c.unused) > 0 && (err == nil || !strings.Contains(err.Error(), c.unused[0])) ||
			len(c.unused) == 0 && err != nil {
			t.Errorf("%s: loaded with the error %v", c.name, err)
		}
		if err == nil {
			m.Free()
		}
		tensors.Close()
	}
	if _, _, err := hf.OpenTensors(t.TempDir()); err == nil || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("an empty directory: %v", err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config.json"), minimal)
	if _, _, err := hf.OpenTensors(dir); err == nil || !strings.Contains(err.Error(), "model.safetensors") {
		t.Errorf("a directory without weights: %v", err)
	}
}

func TestOpenSharedModels(t *testing.T) {
	dirs := modeltest.TinyLlama(t)
	tiny := model.Config{Hidden: 8, FFN: 12, Layers: 2, Heads: 2, KVHeads: 1, Vocab: 11, MaxSeqLen: 16, NormEps: 1e-5,
		RopeTheta: 10000}
	for dir, want := range map[string]model.Config{
		dirs["single"]: tiny,
		dirs["shards"]: tiny,
		datatest.Path(t, "models/stories260K"): {Hidden: 64, FFN: 172, Layers: 5, Heads: 8, KVHeads: 4, Vocab: 512,
			MaxSeqLen: 512, NormEps: 1e-5, RopeTheta: 10000, Tied: true},
	} {
		c, tensors, err := hf.OpenTensors(dir)
		if err != nil {
			t.Error(err)
			continue
		}
		if c != want {
			t.Errorf("%s: %+v, want %+v", dir, c, want)
		}
		if unused := hf.Unused(c, tensors); len(unused) > 0 {
			t.Errorf("%s: unused %v", dir, unused)
		}
		// Copied by this program, every element is the same.
		again, copied, err := hf.OpenTensors(writeModel(t, c, tensors, "F32", 0))
		if err != nil || again != c {
			t.Fatalf("%s: the copy is %+v (%v)", dir, again, err)
		}
		for _, i := range c.HFTensors("F32") {
			a, b := make([]float32, i.Elements()), make([]float32, i.Elements())
			if err := errors.Join(tensors.ReadF32(i.Name, 0, a), copied.ReadF32(i.Name, 0, b)); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(a, b) {
				t.Errorf("%s: the copy differs in %s", dir, i.Name)
			}
		}
		tensors.Close()
		copied.Close()
	}
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
