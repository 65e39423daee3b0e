package processes_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/model/checkpoint"
	"steplm/stage/record"
)

// several are the flags of runs of several processes that are compared: six micro-batches a step.
func several(m clitest.Material, out string, flags ...string) []string {
	return m.Pretrain(out, append([]string{"--precision", "f32", "--grad-accum", "6", "--batch-size", "1", "--device",
		"host", "--eval-tokens", "0", "--final-eval-tokens", "0"}, flags...)...)
}

// sameLosses compares a run's losses with those of another, within a share of them, and gives the largest share.
func sameLosses(t *testing.T, what, run, want string, within float64) (most float64) {
	t.Helper()
	a, b := clitest.ReadMetrics(t, run), clitest.ReadMetrics(t, want)
	a, b = slices.DeleteFunc(a, isEvent), slices.DeleteFunc(b, isEvent)
	if len(a) != len(b) {
		t.Fatalf("%s: %d steps, want %d", what, len(a), len(b))
	}
	for i := range a {
		x, y := a[i].Number(t, "loss"), b[i].Number(t, "loss")
		if !(math.Abs(x/y-1) <= within) {
			t.Fatalf("%s, step %d: loss %v, want %v within %g", what, i+1, x, y, within)
		}
		most = max(most, math.Abs(x/y-1))
	}
	return most
}

func isEvent(l clitest.MetricsLine) bool { return !l.Step() }

// succeedTogether runs the command in several processes to its end.
func succeedTogether(t *testing.T, launcher string, n int, args ...string) string {
	t.Helper()
	c := clitest.CallOfSeveral(t.Context(), launcher, n, args...)
	stdout, stderr, code := clitest.Finish(t, c, "")
	if code != 0 {
		t.Fatalf("%d processes by %s: exit code %d: %s", n, launcher, code, stderr)
	}
	return stdout
}

// Processes that a launcher starts train one model: with the losses of one process, across a growth and whatever the
// method, and with the same ones, bit for bit, when the run is repeated. STEPLM_MPI_STEPS makes the runs longer, and
// has one to three processes make each. What rounding makes of another order of sums grows with the steps: stage's
// TestProcessesDifferAsOrdersDo has what of it one process knows, too.
func TestProcessesAreOne(t *testing.T) {
	launchers, m, dir := clitest.Launchers(t), clitest.NewMaterial(t), t.TempDir()
	long := os.Getenv("STEPLM_MPI_STEPS")
	steps, within := cmp.Or(long, "10"), 1e-6
	if n, err := strconv.Atoi(steps); err == nil && n > 10 {
		within = float64(n) * 1e-7
	}
	for _, method := range []string{"step", "vanilla", "relora", "galore"} {
		flags := []string{"--method", method, "--steps", steps}
		one := filepath.Join(dir, method)
		clitest.Succeed(t, "", several(m, one, flags...)...)
		sizes := map[string][]int{"step": {2, 3}, "vanilla": {2}, "relora": {3}, "galore": {2}}[method]
		if long != "" {
			sizes = []int{1, 2, 3}
		}
		for _, launcher := range launchers {
			for _, n := range sizes {
				what := fmt.Sprintf("%s, %d processes by %s", method, n, launcher)
				run := filepath.Join(dir, strings.ReplaceAll(what, "/", "-"))
				said := succeedTogether(t, launcher, n, several(m, run, flags...)...)
				if n == 1 {
					sameLosses(t, what, run, one, 0)
					continue
				}
				if want := fmt.Sprintf("%d processes on 1 machine by ", n); !strings.Contains(said, want) {
					t.Errorf("%s: %q is not said in\n%s", what, want, said)
				}
				if n := strings.Count(said, "the end"); n != 1 {
					t.Errorf("%s: the end is told %d times", what, n)
				}
				t.Logf("%s: %.2g", what, sameLosses(t, what, run, one, within))
				if method == "step" && n == slices.Max(sizes) {
					succeedTogether(t, launcher, n, several(m, run+"-again", flags...)...)
					if a, b := clitest.LossLines(t, run), clitest.LossLines(t, run+"-again"); a != b {
						t.Errorf("%s: other losses when it was repeated:\n%s\n%s", what, a, b)
					}
				}
			}
		}
	}
}

// Without a word about micro-batches every process has one; and bf16 on the wire is another run, close to the first.
func TestProcessesShareAStep(t *testing.T) {
	launcher, m, dir := clitest.Launchers(t)[0], clitest.NewMaterial(t), t.TempDir()
	one, two, half := filepath.Join(dir, "one"), filepath.Join(dir, "two"), filepath.Join(dir, "half")
	flags := []string{"--precision", "f32", "--device", "host", "--eval-tokens", "0", "--final-eval-tokens", "0"}
	clitest.Succeed(t, "", m.Pretrain(one, append(flags, "--grad-accum", "2")...)...)
	succeedTogether(t, launcher, 2, m.Pretrain(two, flags...)...)
	sameLosses(t, "two processes", two, one, 1e-6)
	succeedTogether(t, launcher, 2, m.Pretrain(half, append(flags, "--wire", "bf16", "--no-overlap")...)...)
	sameLosses(t, "bf16 on the wire", half, one, 1e-3)
	if clitest.LossLines(t, half) == clitest.LossLines(t, two) {
		t.Error("bf16 on the wire changes nothing")
	}
}

// ranks are the processes of a launcher by their rank.
func ranks(t *testing.T, out string) map[int]int {
	t.Helper()
	found, variables := map[int]int{}, []string{"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		env, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		words := strings.Split(string(line), "\x00")
		if words[0] != os.Args[0] || !slices.Contains(words, out) {
			continue
		}
		for _, v := range strings.Split(string(env), "\x00") {
			name, value, _ := strings.Cut(v, "=")
			if rank, err := strconv.Atoi(value); err == nil && slices.Contains(variables, name) {
				found[rank] = pid
			}
		}
	}
	return found
}

// killed is what launchers say of a process that a signal ended: Open MPI's names its rank and node, Hydra's, of MPICH
// and Intel MPI, its machine.
var killed = regexp.MustCompile(`(?is)(rank \d.* node \S+ exited on\s+signal 9|running at \S.*signal:? 9)`)

// A process that is killed at some moment, whichever it is, ends them all; the last checkpoint is whole, and another
// number of processes goes on with it to the losses of the run that nothing happened to, and the same number to its
// bits. STEPLM_KILLS says how often.
func TestAKilledProcessEndsAll(t *testing.T) {
	launchers, m, dir := clitest.Launchers(t), clitest.NewMaterial(t), t.TempDir()
	kills, _ := strconv.Atoi(os.Getenv("STEPLM_KILLS"))
	flags := []string{"--steps", "40", "--save-every", "3", "--keep", "0"}
	straight := filepath.Join(dir, "straight")
	succeedTogether(t, launchers[0], 3, several(m, straight, flags...)...)
	g := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for i := range max(2, 3*kills) {
		launcher, rank := launchers[i%len(launchers)], i%3
		run := filepath.Join(dir, fmt.Sprint(i))
		c := clitest.CallOfSeveral(t.Context(), launcher, 3, several(m, run, flags...)...)
		said := &strings.Builder{}
		c.Stdout, c.Stderr = said, said
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		until(t, func() bool { _, _, err := record.RecipeText(run); return err == nil }, "the run never began")
		time.Sleep(time.Duration(g.Int64N(int64(1500 * time.Millisecond))))
		pid := ranks(t, run)[rank]
		if pid == 0 {
			t.Logf("rank %d of %s had ended already", rank, launcher)
		} else if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Logf("rank %d: %v", rank, err)
		}
		select {
		case err := <-ended:
			if pid != 0 && (err == nil || !killed.MatchString(said.String())) {
				t.Errorf("%s: rank %d was killed: %v, and its machine is not named in\n%s", launcher, rank, err, said)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: rank %d was killed, and a minute later the others go on", launcher, rank)
		}
		until(t, func() bool { return len(ranks(t, run)) == 0 }, "processes are left")
		names, _ := filepath.Glob(filepath.Join(run, "checkpoints", "step-*"))
		for _, name := range names {
			if err := checkpoint.Verify(name); err != nil {
				t.Error(err)
			}
		}
		n := []int{3, 2, 1}[i%3]
		succeedTogether(t, launcher, n, "pretrain", "--resume", run, "--device", "host")
		what := fmt.Sprintf("%s, rank %d killed, %d go on", launcher, rank, n)
		// Another number adds in another order, and what that rounds grows with the steps.
		sameLosses(t, what, run, straight, 2e-5)
		if a, b := clitest.LossLines(t, run), clitest.LossLines(t, straight); n == 3 && a != b {
			t.Errorf("%s: not the bits of the run that nothing happened to:\n%s\n%s", what, a, b)
		}
	}
}

// until waits for something, a minute at most.
func until(t *testing.T, there func() bool, otherwise string) {
	t.Helper()
	untilAfter(t, time.Minute, there, otherwise)
}

func untilAfter(t *testing.T, most time.Duration, there func() bool, otherwise string) {
	t.Helper()
	for end := time.Now().Add(most); !there(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(otherwise)
		}
	}
}

// trains waits until a run has made so many steps.
func trains(t *testing.T, run string, steps int) {
	t.Helper()
	until(t, func() bool {
		text, _ := os.ReadFile(filepath.Join(run, record.File))
		return strings.Count(string(text), `"loss"`) >= steps
	}, "the run does not get on")
}

// A process that hangs is named by another one, which ends all of them.
func TestAHangingProcessIsNamed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	launcher, m, run := clitest.Launchers(t)[0], clitest.NewMaterial(t), filepath.Join(t.TempDir(), "run")
	c := clitest.CallOfSeveral(t.Context(), launcher, 3, several(m, run, "--steps", "4000")...)
	stderr := &strings.Builder{}
	c.Stderr = stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	trains(t, run, 3)
	began := time.Now()
	if err := syscall.Kill(ranks(t, run)[1], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	if want := "rank 1 on "; c.ProcessState.ExitCode() == 0 || strings.Count(stderr.String(), "steplm: error: ") != 1 ||
		!strings.Contains(stderr.String(), "steplm: error: "+want) {
		t.Errorf("exit code %d, and %q is not said once in\n%s", c.ProcessState.ExitCode(), want, stderr)
	}
}

// refusedOnce runs several processes that fail, with one line that holds all parts.
func refusedOnce(t *testing.T, what string, c *exec.Cmd, parts ...string) {
	t.Helper()
	_, stderr, code := clitest.Finish(t, c, "")
	lines := slices.DeleteFunc(strings.Split(stderr, "\n"), func(l string) bool {
		return !strings.HasPrefix(l, "steplm: error: ")
	})
	if code == 0 || len(lines) != 1 {
		t.Errorf("%s: exit code %d, lines %q in\n%s", what, code, lines, stderr)
		return
	}
	for _, part := range parts {
		if !strings.Contains(lines[0], part) {
			t.Errorf("%s: %q does not hold %q", what, lines[0], part)
		}
	}
}

// Processes that were told to train different things are refused, with one line that names one; and so is what all of
// them cannot do, once.
func TestProcessesRefuse(t *testing.T) {
	t.Parallel()
	launcher, m, dir := clitest.Launchers(t)[0], clitest.NewMaterial(t), t.TempDir()
	other := clitest.WriteFile(t, "other.jsonl", strings.Repeat(`{"text": "another text, again and again"}`+"\n", 99))
	refused := func(what string, c *exec.Cmd, parts ...string) {
		t.Helper()
		refusedOnce(t, what, c, parts...)
	}
	out := filepath.Join(dir, "run")
	parts := func(flags ...string) *exec.Cmd {
		words := append([]string{"-n", "2", os.Args[0]}, several(m, out)...)
		words = append(append(words, ":", "-n", "1", os.Args[0]), several(m, out, flags...)...)
		return clitest.CallOfParts(t.Context(), launcher, words...)
	}
	refused("another rate", parts("--lr", "0.5"), "rank 2 on ", "recipe")
	refused("other data", parts("--data", other), "rank 2 on ", "data")
	refused("another wire", parts("--wire", "bf16"), "rank 2 on ", "on the wire")
	refused("too little memory", parts("--memory-limit", "100KB"), "--memory-limit", "rank 2 on ", "97.7 KiB")
	refused("a missing file", parts("--data", filepath.Join(dir, "none")), "rank 2 on ", "none")
	refused("too few micro-batches", clitest.CallOfSeveral(t.Context(), launcher, 3, several(m, out, "--grad-accum",
		"2")...), "--grad-accum 2", "3 processes")
	refused("an unknown flag", clitest.CallOfSeveral(t.Context(), launcher, 3, "pretrain", "--nonsense"), "--nonsense")
	if left := clitest.Entries(t, dir); len(left) > 0 {
		t.Errorf("left are %q", left)
	}
	clitest.Succeed(t, "", several(m, out)...)
	refused("a folder that one does not see", clitest.CallOfParts(t.Context(), launcher, "-n", "1", os.Args[0],
		"pretrain", "--resume", out, "--steps", "20", "--device", "host", ":", "-n", "1", os.Args[0], "pretrain",
		"--resume", filepath.Join(dir, "none"), "--device", "host"), "rank 1 on ", "none holds no run")
}

// A process of a launcher that finds no MPI says so; one that no launcher started, within a Slurm allocation too, looks
// for none.
func TestMPIIsLoadedWhereALauncherSaysSo(t *testing.T) {
	m, dir := clitest.NewMaterial(t), t.TempDir()
	t.Setenv("STEPLM_MPI", "/nowhere/libmpi.so")
	t.Setenv("SLURM_PROCID", "0")
	t.Setenv("SLURM_NTASKS", "4")
	clitest.Succeed(t, "", several(m, filepath.Join(dir, "plain"), "--steps", "4")...)
	t.Setenv("SLURM_STEP_NUM_TASKS", "4")
	clitest.Fail(t, 1, []string{"SLURM_PROCID", "STEPLM_MPI", "/nowhere/libmpi.so"},
		several(m, filepath.Join(dir, "srun"), "--steps", "4")...)
}

// Samples and evaluations are the leading process's alone, and the others keep step with it.
func TestTheLeadingProcessSamples(t *testing.T) {
	launcher, m, dir := clitest.Launchers(t)[0], clitest.NewMaterial(t), t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	flags := []string{"--sample-every", "2", "--eval-every", "3", "--eval-tokens", "64"}
	clitest.Succeed(t, "", several(m, one, flags...)...)
	succeedTogether(t, launcher, 2, several(m, two, flags...)...)
	sameLosses(t, "two processes", two, one, 1e-6)
	events := func(run string) (list []string) {
		for _, l := range clitest.ReadMetrics(t, run) {
			if isEvent(l) {
				list = append(list, fmt.Sprint(l["event"], " after step ", l["step"]))
			}
		}
		return list
	}
	if got, want := events(two), events(one); !slices.Equal(got, want) {
		t.Errorf("two processes tell of %q, one of %q", got, want)
	}
}
