package export_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/export"
	"steplm/model/hf"
	"steplm/model/modeltest"
)

// A model of another program comes back from a checkpoint, and from its own files, with every tensor's bytes as they
// were, and a configuration that means the same: of every family and type, in one file and in shards.
func TestRoundTrip(t *testing.T) {
	dirs := []string{datatest.Path(t, "models/stories260K")}
	families, err := filepath.Glob(filepath.Join(datatest.Path(t, "families"), "*", "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range families {
		if dir := filepath.Dir(path); filepath.Base(dir) != "granite" { // which is refused
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) < 10 {
		t.Fatalf("only %d models were found", len(dirs))
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			c, tensors, err := hf.OpenTensors(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer tensors.Close()
			info, _ := tensors.Info(model.HFEmbed)
			dtype := export.DType(strings.ToLower(string(info.DType)))
			s := stored(t, modeltest.Load(t, gpu.NewHost(), dir, modeltest.Inference))
			for name, m := range map[string]export.Model{
				"files": {Config: c, DType: info.DType, Weights: tensors}, "checkpoint": modelOf(s),
			} {
				for _, shard := range []int64{0, 40_000} {
					out := filepath.Join(t.TempDir(), "out")
					o := export.Options{DType: dtype, ShardBytes: shard}
					if _, err := export.To(t.Context(), export.HuggingFace{}, out, m, export.Text{}, o); err != nil {
						t.Fatal(err)
					}
					_, err := os.Stat(filepath.Join(out, "model.safetensors.index.json"))
					if (err == nil) != (shard > 0) {
						t.Errorf("%s, shards of %d bytes: the index: %v", name, shard, err)
					}
					got, again, err := hf.OpenTensors(out)
					if err != nil {
						t.Fatal(err)
					}
					defer again.Close()
					if got != c {
						t.Errorf("%s: the configuration is %+v, was %+v", name, got, c)
					}
					sameBytes(t, name, again, tensors, c)
				}
			}
		})
	}
}

// sameBytes compares all that a model needs of two files.
func sameBytes(t *testing.T, what string, got, want *checkpoint.Tensors, c model.Config) {
	t.Helper()
	for _, x := range c.FileTensors() {
		a, _ := got.Info(x.HF)
		b, _ := want.Info(x.HF)
		if a.DType != b.DType || !slices.Equal(a.Shape, b.Shape) {
			t.Errorf("%s: %s is %s %v, was %s %v", what, x.HF, a.DType, a.Shape, b.DType, b.Shape)
			continue
		}
		have, was := make([]byte, a.Bytes()), make([]byte, a.Bytes())
		if err := got.ReadRaw(x.HF, 0, have); err != nil {
			t.Fatal(err)
		}
		if err := want.ReadRaw(x.HF, 0, was); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, was) {
			t.Errorf("%s: the bytes of %s differ", what, x.HF)
		}
	}
}
