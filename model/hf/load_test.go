package hf_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/hf"
	"steplm/model/modeltest"
)

// grownLayout has fewer blocks than its configuration and IDs that are not
// positions, as in the middle of a run.
func grownLayout(tied bool) model.Layout {
	l := model.Plain(modeltest.SmallConfig(tied), 2)
	l.Blocks[0].ID, l.Blocks[1].ID = 7, 1
	return l
}

// export writes a model as a Hugging Face directory.
func export(t *testing.T, m *model.Model) (dir string, err error) {
	t.Helper()
	parent := t.TempDir()
	d, err := checkpoint.Begin(parent, "final")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	eos := 3
	if err := modeltest.WriteHF(d, m, &eos); err != nil {
		return "", err
	}
	return filepath.Join(parent, "final"), d.Commit()
}

// No byte of an exported model changes unseen: of its weights, its configuration or any other file.
func TestChangedModelIsNotLoaded(t *testing.T) {
	d := gpu.NewHost()
	dir, err := export(t, modeltest.New(t, d, grownLayout(true), 5))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	flips := 0
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(whole); n += 1 + len(whole)/9 {
			flipped := slices.Clone(whole)
			flipped[n] ^= 1
			if strings.TrimSpace(string(whole[n])) == "" && e.Name() == "checksums.json" {
				continue // a blank between values says nothing
			}
			flips++
			if err := os.WriteFile(path, flipped, 0o644); err != nil {
				t.Fatal(err)
			}
			if m, err := hf.Open(d, dir); err == nil {
				m.Free()
				t.Errorf("%s: byte %d of %d flipped, and the model is loaded", e.Name(), n, len(whole))
			}
		}
		if err := os.WriteFile(path, whole, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, err := hf.Open(d, dir)
	if err != nil {
		t.Fatal(err)
	}
	m.Free()
	if err := os.WriteFile(filepath.Join(dir, "generation_config.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := hf.Open(d, dir); err == nil || !strings.Contains(err.Error(),
		"does not list generation_config.json") ||
		!strings.Contains(err.Error(), "removes checksums.json") || flips < 20 {
		t.Errorf("a file that is not listed: %v (%d flips)", err, flips)
	}
}

func TestExportedModelIsLoadedAgain(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		for _, tied := range []bool{true, false} {
			m := modeltest.New(t, d, grownLayout(tied), 5)
			dir, err := export(t, m)
			if err != nil {
				t.Fatal(err)
			}
			again, err := hf.Load(d, dir)
			if err != nil {
				t.Fatal(err)
			}
			defer again.Free()
			if again.Layers != 2 || again.Tied != tied {
				t.Errorf("tied %v: loaded %+v", tied, again.Config)
			}
			if trainable, _ := again.Count(); trainable != 0 {
				t.Errorf("tied %v: %d parameters of a loaded model are trainable", tied, trainable)
			}
			// Files count blocks by position.
			want := map[string][]float32{}
			for name, values := range modeltest.Weights(t, m) {
				name = strings.Replace(name, "blocks.1.", "blocks.second.", 1)
				name = strings.Replace(name, "blocks.7.", "blocks.0.", 1)
				want[strings.Replace(name, "blocks.second.", "blocks.1.", 1)] = values
			}
			modeltest.Bits(t, "the loaded model", modeltest.Weights(t, again), want)
		}
	})
}

func TestLoadRefusesTensorsWithoutAPlace(t *testing.T) {
	d := gpu.NewHost()
	m := modeltest.New(t, d, grownLayout(true), 5)
	dir, err := export(t, m)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	// One layer less than the file has.
	fewer := strings.Replace(string(text), `"num_hidden_layers": 2`, `"num_hidden_layers": 1`, 1)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(fewer), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "checksums.json")); err != nil {
		t.Fatal(err)
	}
	before := d.Ledger().Total()
	if _, err := hf.Load(d, dir); err == nil || !strings.Contains(err.Error(), "9 tensors have no place") ||
		!strings.Contains(err.Error(), "model.layers.1.") {
		t.Errorf("loading a file with a layer too many: %v", err)
	}
	if _, err := hf.Load(d, t.TempDir()); err == nil {
		t.Error("loaded an empty directory")
	}
	if after := d.Ledger().Total(); after != before {
		t.Errorf("failing left %d bytes on the device", after-before)
	}
}
