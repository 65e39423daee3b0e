package model

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model/checkpoint"
)

// grownLayout has fewer blocks than its configuration and IDs that are not
// positions, as in the middle of a run.
func grownLayout(tied bool) Layout {
	l := Plain(smallConfig(tied), 2)
	l.Blocks[0].ID, l.Blocks[1].ID = 7, 1
	return l
}

// export writes a model as a Hugging Face directory.
func export(t *testing.T, m *Model) (dir string, err error) {
	t.Helper()
	parent := t.TempDir()
	d, err := checkpoint.Begin(parent, "final")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	eos := 3
	if err := m.writeHF(d, &eos); err != nil {
		return "", err
	}
	return filepath.Join(parent, "final"), d.Commit()
}

func TestExportedModelIsLoadedAgain(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		for _, tied := range []bool{true, false} {
			m := newModel(t, d, grownLayout(tied), 5)
			dir, err := export(t, m)
			if err != nil {
				t.Fatal(err)
			}
			again, err := LoadHF(d, dir)
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
			for name, values := range weights(t, m) {
				name = strings.Replace(name, "blocks.1.", "blocks.second.", 1)
				name = strings.Replace(name, "blocks.7.", "blocks.0.", 1)
				want[strings.Replace(name, "blocks.second.", "blocks.1.", 1)] = values
			}
			bits(t, "the loaded model", weights(t, again), want)
		}
	})
}

func TestLoadHFRefusesTensorsWithoutAPlace(t *testing.T) {
	d := gpu.NewHost()
	m := newModel(t, d, grownLayout(true), 5)
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
	before := d.Ledger().Total()
	if _, err := LoadHF(d, dir); err == nil || !strings.Contains(err.Error(), "9 tensors have no place") ||
		!strings.Contains(err.Error(), "model.layers.1.") {
		t.Errorf("loading a file with a layer too many: %v", err)
	}
	if _, err := LoadHF(d, t.TempDir()); err == nil {
		t.Error("loaded an empty directory")
	}
	if after := d.Ledger().Total(); after != before {
		t.Errorf("failing left %d bytes on the device", after-before)
	}
}
