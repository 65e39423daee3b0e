package hf_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/hf"
	"steplm/model/modeltest"
)

// save writes a model as a checkpoint, its layout edited, and returns the folder.
func save(t *testing.T, m *model.Model, edit func(string) string) string {
	t.Helper()
	parent := t.TempDir()
	write := func(name string, fill func(d *checkpoint.Dir) error) string {
		d, err := checkpoint.Begin(parent, name)
		if err == nil {
			err = fill(d)
		}
		if err == nil {
			err = d.Commit()
		}
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Join(parent, name)
	}
	whole := write("whole", m.Save)
	return write("edited", func(d *checkpoint.Dir) error {
		for _, file := range []string{model.LayoutFile, model.WeightsFile} {
			content, err := os.ReadFile(filepath.Join(whole, file))
			if err != nil {
				return err
			}
			if file == model.LayoutFile {
				content = []byte(edit(string(content)))
			}
			w, err := d.Create(file)
			if err != nil {
				return err
			}
			if _, err := w.Write(content); err != nil {
				return err
			}
			if err := w.Close(); err != nil {
				return err
			}
		}
		return nil
	})
}

// One call opens a checkpoint and an exported model alike, with the same weights, frozen.
func TestOpen(t *testing.T) {
	d := gpu.NewHost()
	l := grownLayout(true)
	l.Blocks[0].ID, l.Blocks[1].ID = 0, 1 // files of an exported model count blocks by position
	m := modeltest.New(t, d, l, 5)
	exported, err := export(t, m)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{save(t, m, func(s string) string { return s }), exported} {
		before := d.Ledger().Total()
		again, err := hf.Open(d, dir)
		if err != nil {
			t.Fatal(err)
		}
		modeltest.Bits(t, dir, modeltest.Weights(t, again), modeltest.Weights(t, m))
		if trains, _ := again.Count(); trains != 0 {
			t.Errorf("%s: %d parameters train", dir, trains)
		}
		if took, planned := d.Ledger().Total()-before, gpu.Plan(again.Specs()).Total(); took != planned {
			t.Errorf("%s: %d bytes are taken, %d planned", dir, took, planned)
		}
		again.Free()
	}
}

// A layout that this program does not understand, or that says something else than the weights, is no
// model to compute with.
func TestOpenRefuses(t *testing.T) {
	d := gpu.NewHost()
	m := modeltest.New(t, d, grownLayout(true), 5)
	before := d.Ledger().Total()
	with := func(old, by string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, by, 1) }
	}
	for name, c := range map[string]struct {
		edit func(string) string
		want string
	}{
		"a field of a later version": {with("{", `{"attention_window": 8,`), `"attention_window"`},
		"no JSON":                    {func(s string) string { return s[1:] }, model.LayoutFile},
		"no blocks":                  {with(`"blocks": [`, `"blocks": [], "blocked": [`), `"blocked"`},
		"another shape":              {with(`"vocab_size": `, `"vocab_size": 1`), "tensor embed is F32"},
		"another block":              {with(`"id": 7`, `"id": 8`), "tensor blocks.8."},
		"other states":               {with(`"states": "f32"`, `"states": "split"`), "states"},
	} {
		dir := save(t, m, c.edit)
		_, err := hf.Open(d, dir)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v, want an error with %q and %s", name, err, c.want, dir)
		}
	}
	if _, err := hf.Open(d, t.TempDir()); err == nil {
		t.Error("an empty folder was opened")
	}
	if after := d.Ledger().Total(); after != before {
		t.Errorf("failing left %d bytes on the device", after-before)
	}
}
