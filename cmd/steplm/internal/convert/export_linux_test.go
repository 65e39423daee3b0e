package convert_test

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/hf"
	"steplm/stage/record"
)

// Weights pass through: a model of 12 layers takes the memory that one of 2 takes, in every format, from another
// program's files and from a checkpoint whose LoRA is merged.
func TestExportStreams(t *testing.T) {
	tokenizer := filepath.Join(clitest.RandomModel(t, 290), "tokenizer.json")
	const most = 24 << 20 // beyond what the small model takes; the large one has 130 MB more
	for _, c := range []struct {
		name, format, dtype string
		make                func(t *testing.T, layers int) string
	}{
		{"hf from files", "hf", "f32", zeroModel}, {"gguf from files", "gguf", "q8_0", zeroModel},
		{"gguf from a checkpoint", "gguf", "bf16", zeroCheckpoint},
		{"peft from a checkpoint", "peft", "", zeroCheckpoint},
	} {
		t.Run(c.name, func(t *testing.T) {
			var peaks [2]int64
			for i, layers := range []int{2, 12} {
				args := []string{"export", c.make(t, layers), "--to", c.format, "--tokenizer", tokenizer, "--out",
					filepath.Join(t.TempDir(), "out")}
				if c.dtype != "" {
					args = append(args, "--dtype", c.dtype)
				}
				call := clitest.CallOf(t.Context(), args...)
				if _, stderr, code := clitest.Finish(t, call, ""); code != 0 {
					t.Fatalf("exit code %d: %s", code, stderr)
				}
				peaks[i] = call.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
			}
			t.Logf("peaks of %d MiB and %d MiB", peaks[0]>>20, peaks[1]>>20)
			if peaks[1] > peaks[0]+most {
				t.Errorf("12 layers take %d MiB, 2 take %d MiB: more than %d MiB apart", peaks[1]>>20, peaks[0]>>20,
					most>>20)
			}
		})
	}
}

// large is a model whose layers have 13 MB each in F32.
func large(layers int) model.Config {
	return model.Config{Hidden: 512, FFN: 1408, Layers: layers, Heads: 8, KVHeads: 8, Vocab: 512, MaxSeqLen: 64,
		NormEps: 1e-5, RopeTheta: 10000}
}

// zeroModel is a model directory of zeros, which take no room on the disk.
func zeroModel(t *testing.T, layers int) string {
	t.Helper()
	dir, c := t.TempDir(), large(layers)
	config, err := os.Create(filepath.Join(dir, "config.json"))
	if err == nil {
		err = errors.Join(hf.WriteConfig(config, c, "float32", hf.SpecialIDs{}), config.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	zeroTensors(t, filepath.Join(dir, "model.safetensors"), c.HFTensors(checkpoint.F32))
	return dir
}

// zeroTensors is a file of zeros. Its header is the library's.
func zeroTensors(t *testing.T, path string, infos []checkpoint.Info) {
	t.Helper()
	var head header
	if _, err := checkpoint.Create(&head, infos); err != nil {
		t.Fatal(err)
	}
	size := int64(8 + binary.LittleEndian.Uint64(head))
	for _, i := range infos {
		size += i.Bytes()
	}
	if err := errors.Join(os.WriteFile(path, head, 0o644), os.Truncate(path, size)); err != nil {
		t.Fatal(err)
	}
}

type header []byte

func (h *header) Write(b []byte) (int, error) {
	*h = append(*h, b...)
	return len(b), nil
}

// zeroCheckpoint is a checkpoint of zeros in bf16, every linear of which has LoRA.
func zeroCheckpoint(t *testing.T, layers int) string {
	t.Helper()
	l := model.Plain(large(layers), layers)
	l.Storage = model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16,
		Frozen: model.BF16}
	l.LoRA = model.LoRALayout{Rank: 8, Alpha: 8, Targets: model.LinearNames()}
	for i := range l.Blocks {
		l.Blocks[i] = model.BlockLayout{ID: i, Frozen: true, Wrapped: true}
	}
	parent := t.TempDir()
	d, err := checkpoint.Begin(parent, "step-1")
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(d.WriteJSON(model.LayoutFile, l), d.WriteJSON(record.StateFile, struct{}{}))
	var infos []checkpoint.Info
	for _, p := range l.ForInference().Params() {
		infos = append(infos, checkpoint.Info{Name: p.Weight.Name, DType: checkpoint.BF16, Shape: p.Weight.Shape})
	}
	out, e := d.Create(model.WeightsFile)
	if err := errors.Join(err, e); err != nil {
		t.Fatal(err)
	}
	w, err := checkpoint.Create(out, infos)
	zeros := make([]byte, 1<<20)
	for _, i := range infos {
		for at := int64(0); err == nil && at < i.Bytes(); at += int64(len(zeros)) {
			err = w.WriteRaw(i.Name, zeros[:min(int64(len(zeros)), i.Bytes()-at)])
		}
	}
	if err := errors.Join(err, w.Close(), out.Close(), d.Commit()); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(parent, "step-1")
}

// A disk that is full is told with what is needed, and nothing is left.
func TestExportWithoutRoom(t *testing.T) {
	dir := clitest.RandomModel(t, 290)
	for _, format := range []string{"hf", "gguf"} {
		parent := t.TempDir()
		call := clitest.CallOf(t.Context(), "export", dir, "--to", format, "--dtype", "f32", "--out",
			filepath.Join(parent, "out"))
		limited := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `ulimit -f 10; exec "$0" "$@"`},
			call.Args...)...) // blocks of 512 bytes
		limited.Env = call.Env
		_, stderr, code := clitest.Finish(t, limited, "")
		clitest.CheckFailure(t, "export", stderr, code, 1, "file too large after ", "nothing was changed, the "+
			"unfinished files were removed")
		if entries := clitest.Entries(t, parent); len(entries) > 0 {
			t.Errorf("%s: it left %s", format, strings.Join(entries, ", "))
		}
	}
}
