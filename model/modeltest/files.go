package modeltest

import (
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/data/datatest"
	"steplm/model/hf"

	"steplm/model"
	"steplm/model/checkpoint"
)

// HFNames maps the model's parameter names to those of the fixtures, adapters'
// too.
func HFNames(m *model.Model) map[string]string {
	names := map[string]string{}
	c := m.Config
	c.Layers = len(m.Blocks)
	files := c.HFTensors(checkpoint.F32) // in the order of the parameters
	for _, p := range m.Params() {
		if p.Role.LoRA() {
			continue
		}
		file := files[0].Name
		files = files[1:]
		names[p.Name] = file
		for _, matrix := range []string{"a", "b"} {
			names[p.Name+".lora_"+matrix] = strings.TrimSuffix(file, "weight") + "lora_" + strings.ToUpper(matrix) +
				".weight"
		}
	}
	return names
}

// ReadTensors is every tensor of a safetensors file or directory.
func ReadTensors(t testing.TB, path string) map[string][]float32 {
	t.Helper()
	f, err := checkpoint.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string][]float32{}
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		all[name] = make([]float32, info.Elements())
		if err := f.ReadF32(name, 0, all[name]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// ReadJSON reads a file into value.
func ReadJSON(t *testing.T, path string, value any) {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, value); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// WriteFiles writes config.json and safetensors.
func WriteFiles(d *checkpoint.Dir, c model.Config, w model.Weights, dtype checkpoint.DType, shardBytes int64, bos,
	eos *int) error {
	config, err := d.Create("config.json")
	if err != nil {
		return err
	}
	torch := map[checkpoint.DType]string{checkpoint.F16: "float16", checkpoint.BF16: "bfloat16"}[dtype]
	return errors.Join(hf.WriteConfig(config, c, cmp.Or(torch, "float32"), hf.SpecialIDs{BOS: bos, EOS: eos}),
		config.Close(),
		hf.WriteTensors(d, c, w, dtype, shardBytes))
}

// WriteHF writes a model as it is now.
func WriteHF(d *checkpoint.Dir, m *model.Model, eos *int) error {
	w, err := m.Merged()
	if err != nil {
		return err
	}
	defer w.Free()
	return WriteFiles(d, w.Config, w, w.DType, 0, nil, eos)
}

// TinyLlama lays the shared model out as directories: one file, and shards.
func TinyLlama(t *testing.T) map[string]string {
	t.Helper()
	from := datatest.Path(t, "models/tiny_llama")
	dirs := map[string]string{"single": t.TempDir(), "shards": t.TempDir()}
	for _, l := range []struct{ dir, file, name string }{
		{"single", "tiny_llama_config.json", "config.json"},
		{"single", "tiny_llama.safetensors", "model.safetensors"},
		{"shards", "tiny_llama_config.json", "config.json"},
		{"shards", "tiny_llama.safetensors.index.json", "model.safetensors.index.json"},
		{"shards", "tiny_llama-00001-of-00002.safetensors", "tiny_llama-00001-of-00002.safetensors"},
		{"shards", "tiny_llama-00002-of-00002.safetensors", "tiny_llama-00002-of-00002.safetensors"},
	} {
		if err := os.Symlink(filepath.Join(from, l.file), filepath.Join(dirs[l.dir], l.name)); err != nil {
			t.Skip(err)
		}
	}
	return dirs
}
