package train

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/stage/logs"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// logFiles are patterns of what each format of --log leaves in a run's folder.
var logFiles = map[string]string{
	"tensorboard": "events.out.tfevents.*", "trackio": "trackio/*.db", "wandb": "wandb/offline-run-*/run-*.wandb",
	"trainer-state": "trainer_state.json",
}

// --log keeps the curves beside the metrics, whose losses do not depend on it; a resume may ask for more of them and
// has its own beside that; a name that there is not is refused with the one that may be meant.
func TestPretrainLog(t *testing.T) {
	m, run, plain := clitest.NewMaterial(t), clitest.NewRun(t), clitest.NewRun(t)
	clitest.Succeed(t, "", m.Pretrain(plain, "--device", "host")...)
	clitest.Succeed(t, "", m.Pretrain(run, "--device", "host", "--log", "tensorboard,wandb", "--log",
		"trainer-state")...)
	if got, want := clitest.Losses(clitest.ReadMetrics(t, run)),
		clitest.Losses(clitest.ReadMetrics(t, plain)); !slices.Equal(
		got, want) {
		t.Errorf("losses %v with logs, %v without", got, want)
	}
	for name := range logFiles {
		checkLog(t, run, name, name != "trackio")
		checkLog(t, plain, name, false)
	}
	clitest.Succeed(t, "", "pretrain", "--resume", run, "--device", "host", "--log", strings.Join(logs.Names(), ","))
	for _, name := range logs.Names() {
		checkLog(t, run, name, true)
	}
	if state := clitest.Contents(t, run, "trainer_state.json"); strings.Count(state, `"loss":`) != 8 ||
		!strings.Contains(state, `"global_step": 8`) {
		t.Errorf("trainer_state.json of 8 steps is\n%s", state)
	}
	if _, err := os.Stat(filepath.Join(run, record.File)); err != nil {
		t.Error(err)
	}
	clitest.Refused(t, m, 2, []string{"--log tensorbord", "did you mean tensorboard?"}, "--device", "host", "--log",
		"tensorbord")
}

func checkLog(t *testing.T, run, name string, want bool) {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(run, filepath.FromSlash(logFiles[name])))
	if err != nil || len(list) > 1 || (len(list) == 1) != want {
		t.Errorf("%s: %q is %v, wanted: %t", name, logFiles[name], list, want)
	}
}

// heard are the samples of a run, times aside.
func heard(t *testing.T, run string) (list []record.Samples) {
	t.Helper()
	for e, err := range record.Read(run) {
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := e.(record.Samples); ok {
			s.Seconds, s.ProcessPeak = 0, 0
			list = append(list, s)
		}
	}
	return list
}

// --sample-every has the model continue prompts with every method: the losses are those of a run without, and a run
// that goes on from a checkpoint says the same again, once.
func TestPretrainSamples(t *testing.T) {
	m := clitest.NewMaterial(t)
	prompts := clitest.WriteFile(t, "prompts.txt", "The\r\nA dog\n")
	for _, method := range recipe.MethodNames() {
		plain, run := clitest.NewRun(t), clitest.NewRun(t)
		line := []string{"--device", "host", "--method", method, "--final-eval-tokens", "0", "--keep", "0",
			"--save-every", "3"}
		clitest.Succeed(t, "", m.Pretrain(plain, line...)...)
		out := clitest.Succeed(t, "", m.Pretrain(run, append(line, "--sample-every", "4", "--sample-prompts",
			prompts)...)...)
		if got, want := clitest.Losses(clitest.ReadMetrics(t, run)),
			clitest.Losses(clitest.ReadMetrics(t, plain)); !slices.Equal(got, want) {
			t.Errorf("%s: losses %v with samples, %v without", method, got, want)
		}
		list := heard(t, run)
		if len(list) != 2 || list[0].Step != 4 || list[1].Step != 8 || len(list[0].Samples) != 2 ||
			list[1].Samples[1].Prompt != "A dog" || len(list[1].Samples[1].IDs) == 0 {
			t.Fatalf("%s: samples %+v", method, list)
		}
		lines := regexp.MustCompile(`(?m)^step (4|8): says "The.*\(1 of 2 samples\)$`).FindAllString(out, -1)
		if len(lines) != 2 {
			t.Errorf("%s: %d lines of samples in\n%s", method, len(lines), out)
		}
		if method != "step" && method != "relora" { // of one stage, and one kind of parameters
			continue
		}
		if err := os.WriteFile(filepath.Join(run, "checkpoints", "LATEST"), []byte("step-6\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		clitest.Succeed(t, "", "pretrain", "--resume", run, "--device", "host")
		if diff := cmp.Diff(list, heard(t, run)); diff != "" {
			t.Errorf("%s: samples of a run that went on from step 6 (-straight +resumed):\n%s", method, diff)
		}
	}
}

// What cannot be continued is said before anything begins.
func TestPretrainSamplesRefused(t *testing.T) {
	m := clitest.NewMaterial(t)
	letters := clitest.WriteFile(t, "tokenizer.json", "")
	clitest.Succeed(t, "", "tokenizer", "train", "--data", m.Train, "--vocab", "257", "--out", letters)
	long := clitest.WriteFile(t, "long.txt", "The\n"+strings.Repeat("The cat sat on the mat. ", 20)+"\n")
	for _, c := range []struct {
		code  int
		parts []string
		flags []string
	}{
		{2, []string{"--sample-prompts", "no use without"}, []string{"--sample-prompts", long}},
		{2, []string{"--sample-prompts", "line 2", "tokens, the run's windows have"},
			[]string{"--sample-every", "2", "--sample-prompts", long}},
		{2, []string{"--sample-prompts", "missing.txt"},
			[]string{"--sample-every", "2", "--sample-prompts", "missing.txt"}},
		{2, []string{"--sample-prompts", "line 2", "no tokens"},
			[]string{"--sample-every", "2", "--sample-prompts", clitest.WriteFile(t, "gap.txt", "The\n\nA\n")}},
		{2, []string{"--sample-prompts", "0 lines", "1 to 64"},
			[]string{"--sample-every", "2", "--sample-prompts", clitest.WriteFile(t, "none.txt", "\n")}},
		{2, []string{"--sample-prompts", "not UTF-8"},
			[]string{"--sample-every", "2", "--sample-prompts", clitest.WriteFile(t, "bytes.txt", "\xff\n")}},
		{2, []string{"--sample-every -1", "0 or more"}, []string{"--sample-every=-1"}},
		{2, []string{"--sample-every 2", "windows of 1 positions"},
			[]string{"--sample-every", "2", "--seq-len", "1", "--tokenizer", letters}},
	} {
		clitest.Refused(t, m, c.code, c.parts, append([]string{"--device", "host"}, c.flags...)...)
	}
}
