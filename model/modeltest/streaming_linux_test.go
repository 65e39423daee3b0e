package modeltest

import (
	"path/filepath"
	"runtime/debug"
	"testing"

	"steplm/gpu"
	"steplm/gpu/memory"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/hf"
)

// Loading holds pieces of a few MiB and no whole tensor: the largest, of 128 MiB, does not show in the process's peak,
// be it read from Hugging Face's files, from a checkpoint or from one with LoRA. What the device holds is not counted.
func TestLoadingStreams(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes a few hundred MiB")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(25)) // as the program has it
	const largest, most = 128 << 20, 64 << 20
	c := model.Config{Hidden: 4096, FFN: 8192, Layers: 1, Heads: 1, KVHeads: 1, HeadSize: 8, Vocab: 64, MaxSeqLen: 8,
		NormEps: 1e-5, RopeTheta: 1e4, Tied: true}
	l := model.Plain(c, 1)
	l.Blocks[0] = model.BlockLayout{Frozen: true, Wrapped: true}
	l.LoRA = model.LoRALayout{Rank: 4, Alpha: 4, Targets: []string{"gate"}}
	if n := 4 * int64(c.Hidden*c.FFN); n != largest {
		t.Fatalf("the largest tensor has %d bytes", n)
	}
	parent := t.TempDir()
	write(t, parent, l)
	host := gpu.NewHost()
	limits := host.Limits()
	host.Close()
	for _, from := range []struct {
		name string
		read func(m *model.Model) error
	}{
		{"Hugging Face", func(m *model.Model) error {
			_, w, err := hf.OpenWhole(filepath.Join(parent, "hf"))
			if err != nil {
				return err
			}
			defer w.Close()
			return m.Read(w)
		}},
		{"checkpoint with LoRA", func(m *model.Model) error {
			s, err := model.OpenStored(filepath.Join(parent, "checkpoint"), l)
			if err != nil {
				return err
			}
			defer s.Close()
			return m.Read(s.Merged())
		}},
	} {
		dry, err := model.New(gpu.NewDry(limits), model.Plain(c, 1))
		if err != nil {
			t.Fatal(err)
		}
		debug.FreeOSMemory()
		if err := memory.ResetProcessPeak(); err != nil {
			t.Skip(err)
		}
		before, ok := memory.ProcessNow()
		if !ok {
			t.Skip("this system does not say what a process takes")
		}
		if err := from.read(dry); err != nil {
			t.Fatal(err)
		}
		peak, _ := memory.ProcessPeak()
		t.Logf("%s: %s above what there was, the largest tensor has %s", from.name, gpu.Bytes(peak-before),
			gpu.Bytes(largest))
		if peak-before > most {
			t.Errorf("%s: loading took %s, at most %s are allowed", from.name, gpu.Bytes(peak-before), gpu.Bytes(most))
		}
	}
}

// write leaves a model of a layout as Hugging Face's files and as a checkpoint.
func write(t *testing.T, parent string, l model.Layout) {
	t.Helper()
	m, err := model.New(gpu.NewHost(), l.ForInference())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	for name, save := range map[string]func(d *checkpoint.Dir) error{
		"checkpoint": m.Save, "hf": func(d *checkpoint.Dir) error { return WriteHF(d, m, nil) },
	} {
		d, err := checkpoint.Begin(parent, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := save(d); err != nil {
			t.Fatal(err)
		}
		if err := d.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}
