package export_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/export"
	"steplm/model/hf"
	"steplm/stage"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
	"steplm/stage/synthetic"
)

// plain is a format that this file alone adds: each tensor's name, its length and its f32 numbers, one after another.
type plain struct{}

const plainName = "plain"

func (plain) Name() string { return plainName }

// Check has place for tied models alone.
func (plain) Check(m export.Model, _ export.Text, _ export.Options) error {
	if !m.Config.Tied {
		return fmt.Errorf("%s has no place for a head", plainName)
	}
	return nil
}

func (plain) Single() bool { return false }

func (plain) Write(d *checkpoint.Dir, m export.Model, _ export.Text, _ export.Options) error {
	w := m.Weights
	out, err := d.Create("model.plain")
	if err != nil {
		return err
	}
	for _, name := range w.Names() {
		shape, _ := w.Shape(name)
		n := 1
		for _, size := range shape {
			n *= size
		}
		values := make([]float32, n)
		if err := w.ReadF32(name, 0, values); err != nil {
			return err
		}
		fmt.Fprintln(out, name, n)
		if err := binary.Write(out, binary.LittleEndian, values); err != nil {
			return err
		}
	}
	return out.Close()
}

// readPlain reads the format back.
func readPlain(t *testing.T, path string) map[string][]float32 {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]float32{}
	for in := bytes.NewReader(text); in.Len() > 0; {
		var name string
		var n int
		if _, err := fmt.Fscanf(in, "%s %d\n", &name, &n); err != nil {
			t.Fatal(err)
		}
		all[name] = make([]float32, n)
		if err := binary.Read(in, binary.LittleEndian, all[name]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// A run that ends is written by a format that this file alone has, through the same seam as by Hugging Face's, and
// what is read back from both is the same to the bit. The run has grown and has LoRA that is merged.
func TestToyFormat(t *testing.T) {
	defer func(formats []export.Format) { export.Formats = formats }(export.Formats)
	export.Formats = append(export.Formats[:len(export.Formats):len(export.Formats)], plain{})
	o := recipetest.Tiny()
	o.Model.Tied = true
	r := recipetest.Must(t, "step", o)
	folder := map[string]string{}
	for _, name := range []string{plainName, "hf"} {
		f, err := export.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		m := export.Model{Config: r.Model, DType: checkpoint.F32}
		if err := f.Check(m, export.Text{}, export.Options{}); err != nil {
			t.Fatal(err)
		}
		folder[name] = filepath.Join(finished(t, r, f), record.FinalDir)
	}
	_, tensors, err := hf.OpenTensors(folder["hf"])
	if err != nil {
		t.Fatal(err)
	}
	defer tensors.Close()
	got := readPlain(t, filepath.Join(folder[plainName], "model.plain"))
	if len(got) != len(tensors.Names()) || len(got) == 0 {
		t.Fatalf("%d tensors, Hugging Face's format has %d", len(got), len(tensors.Names()))
	}
	for name, values := range got {
		want := make([]float32, len(values))
		if err := tensors.ReadF32(name, 0, want); err != nil {
			t.Fatal(err)
		}
		for i := range values {
			if values[i] != want[i] {
				t.Fatalf("%s: element %d is %g, in Hugging Face's format %g", name, i, values[i], want[i])
			}
		}
	}
	o.Model.Tied = false
	untied := export.Model{Config: o.Model}
	if err := (plain{}).Check(untied, export.Text{}, export.Options{}); err == nil {
		t.Error("a head has a place")
	}
	if _, err := export.Find("ggml"); err == nil ||
		!strings.Contains(err.Error(), `"ggml": choose one of hf, peft, gguf, plain`) {
		t.Errorf("an unknown format: %v", err)
	}
}

// finished is the folder of a run that has ended.
func finished(t *testing.T, r recipe.Recipe, f export.Format) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	folder, err := stage.CreateFolder(dir, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	run := &stage.Run{
		Recipe: r, Device: gpu.NewHost(), Batches: synthetic.New(r.Batch, r.Model.Vocab, 3), Folder: folder,
		Export: func(m *model.Model, d *checkpoint.Dir) error { return export.Trained(f, d, m, export.Text{}) },
	}
	if err := run.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dir
}
