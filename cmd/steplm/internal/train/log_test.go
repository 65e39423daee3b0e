package train

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/stage/logs"
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
