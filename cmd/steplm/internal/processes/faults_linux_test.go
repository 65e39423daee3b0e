package processes_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/model/checkpoint"
)

// A process that its device's memory does not suffice says so, and ends all.
func TestAProcessWithoutMemoryIsNamed(t *testing.T) {
	t.Parallel()
	launcher, m, run := clitest.Launchers(t)[0], clitest.NewMaterial(t), clitest.NewRun(t)
	pretrain := m.Pretrain(run, "--max-seq-len", "8192", "--seq-len", "8192", "--batch-size", "8")
	words := append([]string{"-n", "1", os.Args[0]}, pretrain...)
	words = append(append(words, ":", "-n", "1", "env"), clitest.SmallHeap(t, 96)...)
	words = append(append(words, os.Args[0]), pretrain...)
	refusedOnce(t, "a small heap", clitest.CallOfParts(t.Context(), launcher, words...), "rank 1 on ", "allocate ",
		"on the device now: ")
	if _, err := os.Stat(run); !os.IsNotExist(err) {
		t.Errorf("a run that never began left its folder: %v", err)
	}
}

// A training that diverges in several processes ends all of them, with one line, and leaves whole checkpoints.
func TestProcessesThatDivergeEnd(t *testing.T) {
	t.Parallel()
	launcher, m, run := clitest.Launchers(t)[0], clitest.NewMaterial(t), clitest.NewRun(t)
	refusedOnce(t, "a rate of 100", clitest.CallOfSeveral(t.Context(), launcher, 2, several(m, run, "--lr", "100",
		"--warmup", "0", "--steps", "40", "--save-every", "1", "--keep", "0")...), "rank ", "step ", "diverged", "--lr")
	names, err := filepath.Glob(filepath.Join(run, "checkpoints", "step-*"))
	if err != nil || len(names) == 0 {
		t.Errorf("left is no checkpoint: %v", err)
	}
	for _, name := range names {
		if err := checkpoint.Verify(name); err != nil {
			t.Error(err)
		}
	}
}

// Each process takes the device that it is told to; devices that compute other bits are found out when they save.
func TestEachProcessHasItsDevice(t *testing.T) {
	t.Parallel()
	devices := clitest.Devices(t)
	if len(devices) < 2 {
		t.Skip("there is no adapter beside the host")
	}
	launcher, m, run := clitest.Launchers(t)[0], clitest.NewMaterial(t), clitest.NewRun(t)
	flags := func(device string) []string {
		return append([]string{"-n", "1", os.Args[0]}, m.Pretrain(run, "--device", device, "--precision", "f32", "--lr",
			"0.1", "--steps", "8", "--no-tune")...)
	}
	words := append(append(flags(devices[0]), ":"), flags(devices[1])...)
	refusedOnce(t, "the host and an adapter", clitest.CallOfParts(t.Context(), launcher, words...), "rank 1 on ",
		"another weight ")
}

// A process that goes on from a copy of the run with a bit of a frozen weight changed, and whoever changed it has made
// the copy's checksums good, is refused and named.
func TestAnotherFrozenWeightIsRefused(t *testing.T) {
	t.Parallel()
	launcher, m, dir := clitest.Launchers(t)[0], clitest.NewMaterial(t), t.TempDir()
	run, other := filepath.Join(dir, "run"), filepath.Join(dir, "other")
	clitest.Succeed(t, "", several(m, run, "--method", "step", "--steps", "12", "--save-every", "1", "--keep", "0")...)
	// The run is over; it goes on from the step before the last, where the first stage's layers are frozen.
	latest := filepath.Join("checkpoints", "LATEST")
	if err := os.WriteFile(filepath.Join(run, latest), []byte("step-11\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"final", filepath.Join("checkpoints", "step-12")} {
		if err := os.RemoveAll(filepath.Join(run, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(other, os.DirFS(run)); err != nil {
		t.Fatal(err)
	}
	flipFrozen(t, filepath.Join(other, "checkpoints", "step-11"))
	words := []string{"-n", "1", os.Args[0], "pretrain", "--resume", run, "--device", "host", ":",
		"-n", "1", os.Args[0], "pretrain", "--resume", other, "--device", "host"}
	refusedOnce(t, "another frozen weight", clitest.CallOfParts(t.Context(), launcher, words...), "rank 1 on ",
		"frozen weight")
	words[len(words)-3] = run
	if _, stderr, code := clitest.Finish(t, clitest.CallOfParts(t.Context(), launcher, words...), ""); code != 0 {
		t.Errorf("with the same weights: exit code %d\n%s", code, stderr)
	}
}

// flipFrozen changes a bit of blocks.0.wq in a checkpoint, and the sums that list its file.
func flipFrozen(t *testing.T, dir string) {
	t.Helper()
	const file = "model.safetensors"
	weights, sums := filepath.Join(dir, file), filepath.Join(dir, "checksums.json")
	content, err := os.ReadFile(weights)
	if err != nil {
		t.Fatal(err)
	}
	header := binary.LittleEndian.Uint64(content)
	var tensors map[string]struct {
		Offsets [2]uint64 `json:"data_offsets"`
	}
	if err := json.Unmarshal(content[8:8+header], &tensors); err != nil {
		t.Fatal(err)
	}
	content[8+header+tensors["blocks.0.wq"].Offsets[0]] ^= 1
	list := map[string]map[string]any{}
	text, err := os.ReadFile(sums)
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	list[file]["sha256"] = hex.EncodeToString(sum[:])
	if text, err = json.Marshal(list); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{weights: content, sums: text} {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := checkpoint.Verify(dir); err != nil {
		t.Fatal(err)
	}
}
