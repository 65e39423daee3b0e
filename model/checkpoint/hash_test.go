package checkpoint

import (
	"path/filepath"
	"testing"
)

// The same tensors have one hash in a file and in shards, and another once a bit differs.
func TestHash(t *testing.T) {
	write := func(name string, shard int64, last float32) string {
		dir := t.TempDir()
		d, err := Begin(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		infos := []Info{{Name: "b", DType: F32, Shape: []int{2, 3}}, {Name: "a", DType: BF16, Shape: []int{4}}}
		w, err := CreateTensors(d, infos, shard)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range []struct {
			name   string
			values []float32
		}{{"b", []float32{1, 2, 3, 4, 5, 6}}, {"a", []float32{1, 0, 2, last}}} {
			if err := w.WriteF32(x.name, x.values); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := d.Commit(); err != nil {
			t.Fatal(err)
		}
		tensors, err := OpenDir(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer tensors.Close()
		hash, err := tensors.Hash()
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	whole, shards, other := write("one", 0, 3), write("several", 24, 3), write("other", 0, 4)
	if whole != shards {
		t.Errorf("in one file %s, in shards %s", whole, shards)
	}
	if whole == other {
		t.Error("another value has the same hash")
	}
}
