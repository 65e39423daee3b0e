package train

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/cmd/steplm/internal/flags"
	"steplm/stage/session"
)

// Every option of a Spec but those of examples is a flag of pretrain, with its default, and every flag of the groups
// that describe a run is an option.
func TestFlagsAreOptions(t *testing.T) {
	known := map[string]bool{}
	var walk func(reflect.Type)
	walk = func(of reflect.Type) {
		for i := range of.NumField() {
			if f := of.Field(i); f.Anonymous {
				walk(f.Type)
			} else if f.IsExported() {
				known[string(flags.FieldOption(f))] = true
			}
		}
	}
	walk(reflect.TypeOf(PretrainCmd{}))
	for _, o := range session.Options() {
		// Which process of a run's rounds a worker is, it hears when it joins.
		if !known[string(o)] && !slices.Contains(session.TuningOptions, o) && o != "process" {
			t.Errorf("the option %s has no flag", o)
		}
		delete(known, string(o))
	}
	for _, own := range []string{
		"config", "write_config", "resume", "json", "device", "gpu_share", "no_tune", "seconds_per_class", "tune_cache",
		"trace", "trace_steps", "host", "join", "at", "key_file", "listen", "quorum", "rejoin_for",
	} {
		delete(known, own)
	}
	if len(known) > 0 {
		t.Errorf("flags that are no options of a run: %v", known)
	}
	out := clitest.Succeed(t, "", "pretrain", "--write-config")
	var written session.Spec
	if err := json.Unmarshal([]byte(out), &written); err != nil || !reflect.DeepEqual(written, session.Default()) {
		t.Errorf("the flags' defaults are %+v (%v), a Spec's %+v", written, err, session.Default())
	}
}

// A run by a configuration is the run by flags; flags that are given count more; and a folder is all that
// --resume needs, from any directory.
func TestPretrainByConfig(t *testing.T) {
	m := clitest.NewMaterial(t)
	plain, run := clitest.NewRun(t), clitest.NewRun(t)
	flags := m.Pretrain(plain, "--device", "host", "--save-every", "3", "--keep", "0")
	config := filepath.Join(t.TempDir(), "run.json")
	text := clitest.Succeed(t, "", append(flags, "--write-config", "--seed", "7")...)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	clitest.Succeed(t, "", flags...)
	clitest.Succeed(t, "", "pretrain", "--config", config, "--seed", "1", "--out", run, "--device", "host")
	if got, want := clitest.LossLines(t, run), clitest.LossLines(t, plain); got != want {
		t.Errorf("losses\n%s\nby flags\n%s", got, want)
	}
	// As if it had been stopped after step 3, in a folder that has moved.
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(run, moved); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(moved, "checkpoints", "LATEST"), []byte("step-3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := clitest.CallOf(t.Context(), "pretrain", "--resume", moved, "--device", "host", "--keep", "1")
	c.Dir = t.TempDir()
	if _, stderr, code := clitest.Finish(t, c, ""); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if got, want := clitest.LossLines(t, moved), clitest.LossLines(t, plain); got != want {
		t.Errorf("losses of the resumed run\n%s\nwant\n%s", got, want)
	}
	if left := clitest.Entries(t, filepath.Join(moved, "checkpoints")); len(left) != 2 {
		t.Errorf("--keep 1 left %q", left)
	}

	broken := clitest.WriteFile(t, "broken.json", strings.Replace(text, `"batch_size"`, `"batchsize"`, 1))
	clitest.Fail(t, 1, []string{"broken.json", "schedule.batchsize", "did you mean schedule.batch_size?"}, "pretrain",
		"--config", broken)
	clitest.Fail(t, 1, []string{"no-such.json"}, "pretrain", "--config", "no-such.json")
	clitest.Fail(t, 2, []string{"missing flags: --data, --tokenizer, --out, --steps or --tokens"}, "pretrain",
		"--model",
		"tiny", "--device", "host")
	clitest.Fail(t, 2, []string{"--config", "--resume"}, "pretrain", "--config", config, "--resume", moved)

	// A run of a version that kept no Spec, and took names of special tokens for the tokens, says so, and goes on with
	// its flags.
	before := filepath.Join(filepath.Dir(moved), "before")
	asked := []string{"--device", "host", "--save-every", "3", "--keep", "1"}
	clitest.Succeed(t, "", append(m.Pretrain(before, asked...), "--parse-special")...)
	if err := os.Remove(filepath.Join(before, "spec.json")); err != nil {
		t.Fatal(err)
	}
	clitest.Fail(t, 1, []string{before, "earlier version", "repeat the flags"}, "pretrain", "--resume", before,
		"--device", "host")
	clitest.Succeed(t, "", append(m.Pretrain(before, asked...), "--resume", before)...)
}

// A run whose learning rate stays can be made longer, and is then the run that was as long from the start.
func TestExtend(t *testing.T) {
	m := clitest.NewMaterial(t)
	const host = "--device=host"
	for method, flags := range map[string][]string{
		"vanilla": {"--method", "vanilla", "--warmup", "2", "--schedule", "constant", host},
		"step": {"--warmup", "2", "--rewarm", "1", "--schedule", "constant", "--split", "2,2", "--save-every", "3",
			host},
	} {
		short, long := clitest.NewRun(t), clitest.NewRun(t)
		clitest.Succeed(t, "", m.Pretrain(short, flags...)...)
		before := strings.Split(clitest.LossLines(t, short), "\n")
		clitest.Fail(t, 1, []string{"8 steps cannot become one of 7"}, "pretrain", "--resume", short, "--steps", "7",
			host)
		// Each step has 32 tokens.
		clitest.Succeed(t, "", "pretrain", "--resume", short, "--tokens", "384", host)
		if method == "vanilla" {
			clitest.Succeed(t, "", m.Pretrain(long, append(flags, "--steps", "12")...)...)
			if got, want := clitest.LossLines(t, short), clitest.LossLines(t, long); got != want ||
				strings.Count(got, "\n") != 12 {
				t.Errorf("losses\n%s\nof a run that was as long from the start\n%s", got, want)
			}
		}
		after := strings.Split(clitest.LossLines(t, short), "\n")
		if len(after) != 13 || !slices.Equal(after[:8], before[:8]) {
			t.Errorf("%s: losses %q, before %q", method, after, before)
		}
		// Once more, and by its folder alone what it is now; a checkpoint from before is still one of its own.
		clitest.Succeed(t, "", "pretrain", "--resume", short, "--steps", "14", "--keep", "0", host)
		clitest.Succeed(t, "", "pretrain", "--resume", short, host)
		if n := strings.Count(clitest.LossLines(t, short), "\n"); n != 14 {
			t.Errorf("%s: %d losses, want 14", method, n)
		}
	}
	cosine := clitest.NewRun(t)
	clitest.Succeed(t, "", m.Pretrain(cosine, host)...)
	clitest.Fail(t, 1, []string{"cosine", "8 steps", "4 more", "--schedule constant from the start"}, "pretrain",
		"--resume",
		cosine, "--steps", "12", host)
	clitest.Succeed(t, "", "pretrain", "--resume", cosine, "--steps", "8", host)
}
