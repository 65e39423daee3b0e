package train

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/gpu/memory"
)

// withoutText renames a shard's text column.
func withoutText(t *testing.T, shard string) string {
	t.Helper()
	b := []byte(clitest.Contents(t, shard))
	footer := b[len(b)-8-int(binary.LittleEndian.Uint32(b[len(b)-8:])):]
	copy(footer, strings.ReplaceAll(string(footer), "text", "tent"))
	return clitest.WriteFile(t, "tent.parquet", string(b))
}

func TestPretrainRefusesBadData(t *testing.T) {
	m := clitest.NewMaterial(t)
	shard, err := filepath.Glob(m.Train)
	if err != nil {
		t.Fatal(err)
	}
	whole := clitest.Contents(t, shard[0])
	missing, empty := filepath.Join(t.TempDir(), "missing"), t.TempDir()
	noRows := filepath.Join(t.TempDir(), "none.parquet")
	if err := datatest.WriteShard(noRows, nil, datatest.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(t.TempDir(), "short.parquet")
	if err := datatest.WriteShard(short, []datatest.Row{{Text: "Few words."}}, datatest.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	damaged := clitest.WriteFile(t, "damaged.parquet", whole[:4]+strings.Repeat("\xff", 200)+whole[204:])
	tent := withoutText(t, shard[0])
	for name, c := range map[string]struct {
		path  string
		parts []string
	}{
		"missing":             {missing, []string{missing, "no such file"}},
		"pattern":             {filepath.Join(empty, "*.parquet"), []string{"*.parquet", "no file matches"}},
		"empty directory":     {empty, []string{empty, "no *.parquet"}},
		"without text":        {tent, []string{tent, "text", "tent", "id"}},
		"truncated":           {clitest.WriteFile(t, "cut.parquet", whole[:len(whole)/2]), []string{"cut.parquet"}},
		"without a beginning": {clitest.WriteFile(t, "cut.parquet", whole[len(whole)/2:]), []string{"cut.parquet"}},
		"no bytes":            {clitest.WriteFile(t, "nothing.parquet", ""), []string{"nothing.parquet", "0 bytes"}},
		"not Parquet":         {clitest.WriteFile(t, "a.parquet", clitest.Text), []string{"a.parquet", "Parquet"}},
		"no rows":             {noRows, []string{noRows, "no rows"}},
		"fewer than a batch":  {short, []string{"9 tokens", "2 windows of 16 (+1) = 33", "lower the batch size"}},
		"damaged":             {damaged, []string{damaged}},
	} {
		t.Run(name, func(t *testing.T) {
			clitest.Refused(t, m, 1, c.parts, "--data", c.path, "--device", "host")
			if name != "fewer than a batch" && name != "damaged" { // found when they are read
				clitest.Refused(t, m, 1, c.parts, "--validation", c.path, "--device", "host")
			}
			if name != "fewer than a batch" && name != "damaged" {
				clitest.Refused(t, m, 1, c.parts, "--wikitext", c.path, "--device", "host")
			}
		})
	}
	clitest.Refused(t, m, 1, []string{missing}, "--tokenizer", missing, "--device", "host")
}

// Files that other programs wrote, and that crash some readers.
func TestPretrainRefusesBadParquet(t *testing.T) {
	dir := datatest.Path(t, "parquet/bad")
	m := clitest.NewMaterial(t)
	for _, name := range clitest.Entries(t, dir) {
		clitest.Refused(t, m, 1, []string{name}, "--data", filepath.Join(dir, name), "--device", "host")
	}
}

func TestPretrainRefusesBadFlags(t *testing.T) {
	m := clitest.NewMaterial(t)
	notEmpty := t.TempDir()
	if err := os.WriteFile(filepath.Join(notEmpty, "thesis.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	file := clitest.WriteFile(t, "file", "")
	for _, c := range []struct {
		code  int
		parts []string
		flags []string
	}{
		{2, []string{"--vocab 299", "300 ids"}, []string{"--vocab", "299"}},
		{1, []string{"hidden_size 15", "num_attention_heads 2"}, []string{"--hidden", "15"}},
		{1, []string{"num_attention_heads 4", "num_key_value_heads 3"}, []string{"--heads", "4", "--kv-heads", "3"}},
		{1, []string{"4 layers into 5 stages", "at most 4"}, []string{"--stages", "5"}},
		{1, []string{"split [3 2]", "5 layers", "4 layers"}, []string{"--split", "3,2"}},
		{2, []string{"--stages 0", "1 or more"}, []string{"--stages", "0"}},
		{2, []string{"--rank 0", "1 or more"}, []string{"--rank", "0"}},
		{1, []string{"rank 9", "wk (8 x 16)", "at most 8"}, []string{"--rank", "9"}},
		{1, []string{"sequence length 65", "64 positions", "--seq-len"}, []string{"--seq-len", "65"}},
		{2, []string{"--seq-len 0", "1 or more"}, []string{"--seq-len", "0"}},
		{1, []string{`"tinny"`, "did you mean tiny?", "680m"}, []string{"--model", "tinny"}},
		{1, []string{"missing.json"}, []string{"--model", "missing.json"}},
		{1, []string{"1 steps", "2 stages", "more steps or fewer stages"}, []string{"--steps", "1"}},
		{2, []string{"--steps 0", "1 or more"}, []string{"--steps", "0"}},
		{1, []string{`"meen"`, "mean", "copy"}, []string{"--operator", "meen"}},
		{1, []string{`"top"`, "upper", "random"}, []string{"--position", "top"}},
		{1, []string{"2 stages", "3 learning rates"}, []string{"--lr", "1,2,3"}},
		{1, []string{notEmpty, "not empty", "thesis.txt", "--out"}, []string{"--out", notEmpty}},
		{1, []string{file}, []string{"--out", file}},
		{1, []string{"holds no run", "recipe.json"}, []string{"--resume", notEmpty}},
		{2, []string{"--steps", "--tokens", "together"}, []string{"--tokens", "64"}},
		{2, []string{"--stages", "--split", "--method vanilla"}, []string{"--method", "vanilla", "--stages", "2"}},
		{2, []string{`"vanila"`, "vanilla"}, []string{"--method", "vanila"}},
		{2, []string{"--seq-length", "--seq-len"}, []string{"--seq-length", "8"}},
		{2, []string{"--save-every -1", "0 or more"}, []string{"--save-every=-1"}},
		{2, []string{"--keep -1", "0 or more"}, []string{"--keep=-1"}},
		{2, []string{"--eval-every -1", "0 or more"}, []string{"--eval-every=-1"}},
		{2, []string{"--eval-tokens -1", "0 or more"}, []string{"--eval-tokens=-1"}},
		{2, []string{"--out is empty"}, []string{"--out="}},
		{2, []string{"--gpu-share 0", "above 0", "at most 1"}, []string{"--gpu-share", "0"}},
		{2, []string{"--gpu-share 1.5", "at most 1"}, []string{"--gpu-share", "1.5"}},
		{2, []string{"--trace-steps 0", "1 or more"}, []string{"--trace", filepath.Join(notEmpty, "t.json"),
			"--trace-steps", "0"}},
		{1, []string{"--trace", filepath.Join(file, "t.json"), "no directory"},
			[]string{"--trace", filepath.Join(file, "t.json")}},
		{1, []string{"--trace", notEmpty, "no file"}, []string{"--trace", notEmpty}},
		{2, []string{"--precision", "f32", "f17"}, []string{"--precision", "f17"}},
		{1, []string{"flash8", "f32"}, []string{"--precision", "f32", "--states", "flash8"}},
		{1, []string{`"tiny"`, "paper, split, stochastic, flash8"}, []string{"--states", "tiny"}},
		{1, []string{"flash8", "SCALE", "--states split"}, []string{"--optimizer", "scale", "--states", "flash8"}},
		{1, []string{"GaLore", "rank 9000", "choose at most"},
			[]string{"--optimizer", "galore", "--projection-rank", "9000"}},
		{1, []string{"APOLLO", "every 0 updates"}, []string{"--optimizer", "apollo", "--projection-every", "0"}},
		{2, []string{"--projection-rank 4", "optimizer scale has none"},
			[]string{"--optimizer", "scale", "--projection-rank", "4"}},
		{2, []string{"--optimizer", "sgd", "galore"}, []string{"--optimizer", "sgd"}},
		{2, []string{"--spike-loss 2", "stop or rollback"}, []string{"--spike-loss", "2"}},
		{2, []string{"--max-rollbacks 0", "stop or rollback"}, []string{"--max-rollbacks", "0"}},
		{1, []string{"method galore", "optimizer adamw", "--optimizer", "--method vanilla"},
			[]string{"--method", "galore", "--optimizer", "adamw"}},
		{1, []string{"2 micro-batches", "--release"},
			[]string{"--optimizer", "muon", "--release", "--grad-accum", "2"}},
		{1, []string{"2 micro-batches", "--grad-accum 1", "--release"}, []string{"--release", "--grad-accum", "2"}},
		{1, []string{"int8", "vanilla", "freezes nothing"}, []string{"--frozen", "int8", "--method", "vanilla"}},
		{2, []string{"--recompute", "block", "some"}, []string{"--recompute", "some"}},
		{2, []string{"--head-rows -1"}, []string{"--head-rows=-1"}},
		{2, []string{"--split a,b", "13,11", "real"}, []string{"--split", "a,b"}},
		{2, []string{"--memory-limit", `"6 apples"`, "6GiB"}, []string{"--memory-limit", "6 apples"}},
		{2, []string{"--memory-limit", `"-1GiB"`}, []string{"--memory-limit=-1GiB"}},
		{1, []string{"--memory-limit", "does not fit into 2.0 KiB", "smallest arrangement", "MiB more",
			"--states flash8"}, []string{"--memory-limit", "2KiB"}},
	} {
		clitest.Refused(t, m, c.code, c.parts, append(c.flags, "--device", "host")...)
	}
	if left := clitest.Entries(t, notEmpty); !slices.Equal(left, []string{"thesis.txt"}) {
		t.Errorf("a folder that is not a run's was touched: %q", left)
	}

	out := clitest.NewRun(t)
	without := func(flag string) []string {
		args := m.Pretrain(out, "--device", "host")
		i := slices.Index(args, flag)
		return slices.Delete(args, i, i+2)
	}
	clitest.Fail(t, 2, []string{"--steps", "--tokens"}, without("--steps")...)
	clitest.Fail(t, 2, []string{"--data"}, without("--data")...)
	clitest.Fail(t, 2, []string{"--tokenizer"}, without("--tokenizer")...)
	clitest.Fail(t, 2, []string{"--out"}, without("--out")...)
	clitest.Fail(t, 2, []string{"--tokens -5", "1 or more"}, append(without("--steps"), "--tokens=-5")...)
	clitest.Fail(t, 2, []string{"--hidden", "presets"}, without("--hidden")...)
	if left := clitest.Entries(t, filepath.Dir(out)); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

// A model that no machine holds is refused with its bytes by class before
// anything is allocated; its fast failure is all that can be seen of that here.
func TestPretrainRefusesWhatDoesNotFit(t *testing.T) {
	if _, ok := memory.Available(); !ok {
		t.Skip("this system does not say how much memory it has")
	}
	m := clitest.NewMaterial(t)
	for _, device := range clitest.Devices(t) {
		clitest.Refused(t, m, 1, []string{
			"stage 1 of 2", "does not fit", "TiB more", "are free (weights", "gradients", "optimizer", "activations",
			"scratch", "total", "choose a smaller model",
		}, "--hidden", "65536", "--ffn", "262144", "--layers", "64", "--split", "32,32", "--device", device)
	}
	// Only the last stage is too large: found before the first begins.
	clitest.Refused(t, m, 1, []string{"stage 2 of 2", "does not fit"}, "--hidden", "4096", "--ffn", "16384", "--layers",
		"5001",
		"--split", "1,5000", "--device", "host")
}

func TestPretrainRefusesUnknownDevice(t *testing.T) {
	if len(clitest.Devices(t)) == 1 {
		t.Skip(gpu.NoAdapterHelp)
	}
	m := clitest.NewMaterial(t)
	clitest.Refused(t, m, 1, []string{`"no such GPU"`, "host"}, "--device", "no such GPU")
	clitest.Refused(t, m, 1, []string{"device 99", "steplm devices"}, "--device", "99")
}

// noAdapter is the environment of a machine without a Vulkan driver.
func noAdapter(c *exec.Cmd) {
	c.Env = append(c.Env, "VK_DRIVER_FILES="+os.DevNull, "VK_ICD_FILENAMES="+os.DevNull)
}

func TestPretrainWithoutAdapter(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only the Vulkan loader can be told that there is no driver")
	}
	m, run := clitest.NewMaterial(t), clitest.NewRun(t)
	c := clitest.CallOf(t.Context(), m.Pretrain(run)...)
	noAdapter(c)
	_, stderr, code := clitest.Finish(t, c, "")
	clitest.CheckFailure(t, "pretrain", stderr, code, 1, "mesa-vulkan-drivers", "--device host")
	if left := clitest.Entries(t, filepath.Dir(run)); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

func TestResumeRefuses(t *testing.T) {
	m, run := clitest.NewMaterial(t), clitest.NewRun(t)
	host := func(more ...string) []string {
		return m.Pretrain(run, append([]string{"--device", "host"}, more...)...)
	}
	clitest.Succeed(t, "", host()...)
	before := clitest.Contents(t, run, "metrics.jsonl")
	refuse := func(parts []string, more ...string) {
		t.Helper()
		_, stderr, code := clitest.Call(t, "", host(more...)...)
		clitest.CheckFailure(t, strings.Join(more, " "), stderr, code, 1, parts...)
	}
	refuse([]string{run, "already holds a run", "--resume", "--out"})
	refuse([]string{run, "--seed 2", "begun with 1"}, "--resume", run, "--seed", "2")
	refuse([]string{run, "--grad-accum 2", "begun with 1"}, "--resume", run, "--grad-accum", "2")
	refuse([]string{run, `--method "vanilla"`, `begun with "step"`}, "--resume", run, "--method", "vanilla")
	refuse([]string{run, "--vocab 300", "the default"}, "--resume", run, "--vocab", "300")
	other := filepath.Join(t.TempDir(), "tokenizer.json")
	clitest.Succeed(t, "", "tokenizer", "train", "--data", m.Train, "--vocab", "299", "--out", other)
	refuse([]string{run, "--tokenizer", "was begun with"}, "--resume", run, "--tokenizer", other)
	shard, _ := filepath.Glob(m.Train)
	refuse([]string{run, "--data", "was begun with"}, "--resume", run, "--data", shard[0])
	if after := clitest.Contents(t, run, "metrics.jsonl"); after != before {
		t.Error("a refused --resume changed metrics.jsonl")
	}

	model := filepath.Join(run, "checkpoints", "step-8", "model.safetensors")
	good := clitest.Contents(t, model)
	bad := []byte(good)
	bad[len(bad)/2] ^= 1
	for what, content := range map[string]string{"a flipped bit": string(bad), "a cut end": good[:len(good)-1]} {
		if err := os.WriteFile(model, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, stderr, code := clitest.Call(t, "", host("--resume", run)...)
		clitest.CheckFailure(t, what, stderr, code, 1, "step-8", "model.safetensors")
	}
	if err := os.WriteFile(model, []byte(good), 0o644); err != nil {
		t.Fatal(err)
	}
	clitest.Succeed(t, "", host("--resume", run)...)
	if got, want := clitest.Losses(clitest.ReadMetrics(t, run)),
		clitest.Losses(clitest.ParseMetrics(t, []byte(before))); !slices.Equal(got, want) {
		t.Errorf("resuming an ended run: %s", cmp.Diff(want, got))
	}
}

// A checkpoint that cannot be written ends the run with one line; the one
// before stays and can be resumed from.
func TestDiskFullWhileSaving(t *testing.T) {
	m := clitest.NewMaterial(t)
	straight := clitest.NewRun(t)
	flags := func(out string) []string {
		// The second stage's checkpoints are more than twice as large as the first's.
		return m.Pretrain(out, "--hidden", "64", "--ffn", "256", "--split", "1,3", "--rank", "4", "--save-every", "2",
			"--device", "host")
	}
	clitest.Succeed(t, "", flags(straight)...)
	size := func(step string) int64 {
		var n int64
		for _, file := range []string{"model.safetensors", "optimizer.safetensors"} {
			n += int64(len(clitest.Contents(t, straight, "checkpoints", step, file)))
		}
		return n
	}
	large := size("step-8")

	for name, limited := range map[string]func(t *testing.T, dir string, args []string) *exec.Cmd{
		"limited file size": func(t *testing.T, dir string, args []string) *exec.Cmd {
			if runtime.GOOS == "windows" {
				t.Skip("Windows does not limit a process's files")
			}
			blocks := int64(len(clitest.Contents(t, straight, "checkpoints", "step-8",
				"optimizer.safetensors"))) / 512 / 2
			return shell(t, "ulimit -f "+jsonOf(t, blocks), args)
		},
		"full disk": func(t *testing.T, dir string, args []string) *exec.Cmd {
			mount := exec.Command("mount", "-t", "tmpfs", "-o", "size="+jsonOf(t, large), "tmpfs", dir)
			if out, err := mount.CombinedOutput(); err != nil {
				t.Skipf("cannot mount a small disk here, as only root can: %v: %s", err, out)
			}
			t.Cleanup(func() {
				if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
					t.Errorf("umount %s: %v: %s", dir, err, out)
				}
			})
			return clitest.CallOf(t.Context(), args...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			run := filepath.Join(dir, "run")
			_, stderr, code := clitest.Finish(t, limited(t, dir, flags(run)), "")
			clitest.CheckFailure(t, name, stderr, code, 1, "saving", "step-4", "safetensors", "bytes of",
				"nothing was changed",
				"the unfinished files were removed")
			if name == "full disk" && !strings.Contains(stderr, "make room") {
				t.Errorf("not told what to do: %s", stderr)
			}
			if left := clitest.Entries(t, filepath.Join(run, "checkpoints")); !slices.Equal(left,
				[]string{"LATEST", "step-2", "step-3"}) {
				t.Errorf("checkpoints are %q", left)
			}
			if name == "full disk" {
				elsewhere := clitest.NewRun(t)
				if err := os.CopyFS(elsewhere, os.DirFS(run)); err != nil {
					t.Fatal(err)
				}
				run = elsewhere
			}
			clitest.Succeed(t, "", append(flags(run), "--resume", run)...)
			if diff := cmp.Diff(clitest.Losses(clitest.ReadMetrics(t, straight)),
				clitest.Losses(clitest.ReadMetrics(t, run))); diff != "" {
				t.Errorf("losses (-straight +resumed):\n%s", diff)
			}
		})
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// shell runs the command in a shell after another of the shell's.
func shell(t *testing.T, before string, args []string) *exec.Cmd {
	t.Helper()
	c := clitest.CallOf(t.Context(), args...)
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	c.Path, c.Args = sh, append([]string{"sh", "-c", before + ` && exec "$@"`, "sh", self}, args...)
	return c
}
