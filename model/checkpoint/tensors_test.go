package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/data/datatest"
)

// saveTensors writes t0 .. t5 of 4, 8, 12, ... bytes, tN filled with N; t3 is empty.
func saveTensors(t *testing.T, shardBytes int64) string {
	t.Helper()
	parent := t.TempDir()
	d, err := Begin(parent, "model")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	var infos []Info
	for n := range 6 {
		length := n + 1
		if n == 3 {
			length = 0
		}
		infos = append(infos, Info{fmt.Sprintf("t%d", n), F32, []int{length}})
	}
	w, err := CreateTensors(d, infos, shardBytes)
	if err != nil {
		t.Fatal(err)
	}
	for n, i := range infos {
		for range i.Elements() {
			if err := w.WriteF32(i.Name, []float32{float32(n)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), d.Commit()); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(parent, "model")
}

func TestShards(t *testing.T) {
	for _, c := range []struct {
		shardBytes int64
		files      int // safetensors files, the index not counted
	}{{0, 1}, {1 << 20, 1}, {24, 3}, {13, 4}, {1, 6}} {
		dir := saveTensors(t, c.shardBytes)
		if err := Verify(dir); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
		if err != nil || len(files) != c.files {
			t.Errorf("shards of %d bytes: %v, want %d files", c.shardBytes, files, c.files)
		}
		tensors, err := OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"t0", "t1", "t2", "t3", "t4", "t5"}; !slices.Equal(tensors.Names(), want) {
			t.Errorf("names %v, want %v", tensors.Names(), want)
		}
		for n, name := range tensors.Names() {
			shape, ok := tensors.Shape(name)
			got := make([]float32, shape[0])
			if err := tensors.ReadF32(name, 0, got); err != nil || !ok {
				t.Fatal(err)
			}
			for _, v := range got {
				if v != float32(n) {
					t.Errorf("%s = %v", name, got)
				}
			}
			if err := tensors.ReadRaw(name, 0, make([]byte, 4*shape[0])); err != nil {
				t.Error(err)
			}
		}
		if _, ok := tensors.Shape("t6"); ok || tensors.ReadF32("t6", 0, nil) == nil {
			t.Error("t6 was found")
		}
		if err := tensors.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenDirRefuses(t *testing.T) {
	const index = "model.safetensors.index.json"
	for _, c := range []struct {
		name   string
		damage func(dir string) error
		want   string
	}{
		{"missing shard", func(dir string) error {
			return os.Remove(filepath.Join(dir, "model-00002-of-00003.safetensors"))
		},
			"shard model-00002-of-00003.safetensors is missing"},
		{"no index", func(dir string) error { return os.Remove(filepath.Join(dir, index)) },
			"neither model.safetensors nor"},
		{"pickle", func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, index)),
				os.WriteFile(filepath.Join(dir, "pytorch_model.bin"), nil, 0o666))
		}, ".save_pretrained('"},
		{"pickled shards", func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, index)),
				os.WriteFile(filepath.Join(dir, "pytorch_model-00001-of-00002.bin"), nil, 0o666))
		}, "pytorch_model-00001-of-00002.bin is a pickle"},
		{"index no JSON", func(dir string) error { return os.WriteFile(filepath.Join(dir, index), []byte("{"), 0o666) },
			index},
		{"empty map", func(dir string) error { return os.WriteFile(filepath.Join(dir, index), []byte("{}"), 0o666) },
			"weight_map"},
		{"way out", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, index), []byte(`{"weight_map":{"a":"../a.safetensors"}}`), 0o666)
		}, "plain"},
		{"tensor not in shard", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, index),
				[]byte(`{"weight_map":{"t0":"model-00002-of-00003.safetensors"}}`), 0o666)
		}, `"t0" should be in shard`},
		{"truncated shard", func(dir string) error {
			return os.Truncate(filepath.Join(dir, "model-00003-of-00003.safetensors"), 100)
		}, "truncated"},
	} {
		dir := saveTensors(t, 24)
		if err := c.damage(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenDir(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := OpenDir(filepath.Join(t.TempDir(), "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
}

// What another implementation wrote, whole and in shards, holds the same numbers.
func TestSharedModels(t *testing.T) {
	dir := datatest.Path(t, "models/tiny_llama")
	single, err := OpenDir(filepath.Join(dir, "tiny_llama.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer single.Close()
	linked := t.TempDir()
	for from, to := range map[string]string{
		"tiny_llama.safetensors.index.json":     "model.safetensors.index.json",
		"tiny_llama-00001-of-00002.safetensors": "tiny_llama-00001-of-00002.safetensors",
		"tiny_llama-00002-of-00002.safetensors": "tiny_llama-00002-of-00002.safetensors",
	} {
		if err := os.Symlink(filepath.Join(dir, from), filepath.Join(linked, to)); err != nil {
			t.Skip(err)
		}
	}
	shards, err := OpenDir(linked)
	if err != nil {
		t.Fatal(err)
	}
	defer shards.Close()
	if len(single.Names()) != 22 || len(shards.Names()) != 22 {
		t.Fatalf("%d and %d tensors, want 22 (an inv_freq is among them)", len(single.Names()), len(shards.Names()))
	}
	for _, name := range single.Names() {
		info, _ := single.Info(name)
		a, b := make([]float32, info.Elements()), make([]float32, info.Elements())
		if err := errors.Join(single.ReadF32(name, 0, a), shards.ReadF32(name, 0, b)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a, b) {
			t.Errorf("%s differs between the file and the shards", name)
		}
	}
}
