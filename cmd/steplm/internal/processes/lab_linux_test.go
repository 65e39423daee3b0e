package processes_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/model/checkpoint"
	"steplm/stage/record"
)

// Machines that mpirun reaches by ssh train one model, bit for bit as as many processes on one machine do.
func TestMachinesTrainTogether(t *testing.T) {
	l, m, dir := clitest.NewLab(t, 3), clitest.NewMaterial(t), t.TempDir()
	l.Do("ssh")
	for _, launcher := range clitest.Launchers(t) {
		one := filepath.Join(dir, strings.ReplaceAll(launcher, "/", "-"))
		succeedTogether(t, launcher, 3, several(m, one)...)
		said, stderr, code := clitest.Finish(t, l.Mpirun(launcher, 3, several(m, one+"-3")...), "")
		if code != 0 {
			t.Fatalf("%s: exit code %d: %s", launcher, code, stderr)
		}
		if want := "3 processes on 3 machines by "; !strings.Contains(said, want) {
			t.Errorf("%s: %q is not said in\n%s", launcher, want, said)
		}
		sameLosses(t, launcher, one+"-3", one, 0)
	}
}

// A machine that vanishes ends the run on all others within a minute, mpirun itself included, with the settings of the
// image; it is named, and the last checkpoint is whole.
func TestAMachineThatVanishesEndsAll(t *testing.T) {
	l, m, dir := clitest.NewLab(t, 3), clitest.NewMaterial(t), t.TempDir()
	l.Do("ssh")
	named := regexp.MustCompile(`rank 1 on m2 has not been heard of|node m2`)
	for _, launcher := range clitest.Launchers(t) {
		run := filepath.Join(dir, strings.ReplaceAll(launcher, "/", "-"))
		c := l.Mpirun(launcher, 3, several(m, run, "--steps", "40000", "--save-every", "3")...)
		said := &strings.Builder{}
		c.Stdout, c.Stderr = said, said
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		trains(t, run, 10)
		began := time.Now()
		l.Do("cable", "m2", "down")
		_ = c.Wait() // Open MPI 5 ends with 0, though it says that it lost a machine.
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s: it took %v", launcher, took)
		}
		if !named.MatchString(said.String()) {
			t.Errorf("%s: m2 is not named in\n%s", launcher, said)
		}
		name, _, err := record.LastCheckpoint(run)
		if err == nil {
			err = checkpoint.Verify(record.CheckpointAt(run, name))
		}
		if err != nil {
			t.Error(err)
		}
		l.Do("cable", "m2", "up")
		l.Do("off", "m2")
		l.Do("ssh")
	}
}

// Slurm runs deploy's script on several machines: it stops at a signal and goes on by the same line, bit for bit; a
// task that is killed ends all others.
func TestSlurm(t *testing.T) {
	l, m, dir := clitest.NewLab(t, 2), clitest.NewMaterial(t), t.TempDir()
	l.Do("slurm")
	run, straight := filepath.Join(dir, "run"), filepath.Join(dir, "straight")
	log := filepath.Join(dir, "log")
	flags := []string{"--steps", "60", "--save-every", "1000", "--no-tune"}
	succeedTogether(t, clitest.Launchers(t)[0], 4, without(several(m, straight, flags...), "--device")...)
	submit := func(run string) (job string) {
		t.Helper()
		words := append([]string{"sbatch", "--parsable", "--output", log, "--nodes", "2", "--ntasks-per-node", "2",
			"../../../../deploy/steplm.sbatch", run}, without(several(m, run, flags...)[1:], "--out", "--device")...)
		job, stderr, code := clitest.Finish(t, l.Slurm(words...), "")
		if code != 0 {
			t.Fatal(stderr)
		}
		return strings.TrimSpace(job)
	}
	ended := func() {
		t.Helper()
		untilAfter(t, 2*time.Minute, func() bool {
			left, _, _ := clitest.Finish(t, l.Slurm("squeue", "--noheader"), "")
			return left == ""
		}, "the job does not end")
	}
	job := submit(run)
	trains(t, run, 20)
	clitest.Finish(t, l.Slurm("scancel", "--signal", "INT", job), "")
	ended()
	text := clitest.Contents(t, log)
	if want := "4 processes on 2 machines by "; !strings.Contains(text, want) || strings.Count(text, "is saved") != 1 {
		t.Errorf("%q is not said, or not once that it is saved, in\n%s", want, text)
	}
	submit(run)
	ended()
	sameLosses(t, "stopped and begun again by Slurm", run, straight, 0)

	submit(run + "-killed")
	trains(t, run+"-killed", 3)
	if err := syscall.Kill(ranks(t, run+"-killed")[3], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ended()
	text = clitest.Contents(t, log)
	if !strings.Contains(text, "rank 3 on m2") && !strings.Contains(text, "m2: task 3") {
		t.Errorf("rank 3 is not named in\n%s", text)
	}
}

// without are the words of a call without some flags and what follows each. With --resume the script leaves all of them
// to the run, which has no device.
func without(words []string, flags ...string) (rest []string) {
	for i := 0; i < len(words); i++ {
		if slices.Contains(flags, words[i]) {
			i++
			continue
		}
		rest = append(rest, words[i])
	}
	return rest
}

// A laptop that joins a run by its name alone finds it in the local network, and again where the first one has another
// address.
func TestLaptopsFindEachOther(t *testing.T) {
	l, m, dir := clitest.NewLab(t, 2), clitest.NewMaterial(t), t.TempDir()
	key := clitest.WriteFile(t, "key", strings.Repeat("k", 40))
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	start := func(c *exec.Cmd) (ended func()) {
		t.Helper()
		child := clitest.StartChild(t, c)
		go io.Copy(io.Discard, child.Out)
		return func() {
			c.Process.Kill()
			c.Wait()
			if t.Failed() {
				t.Log(&child.Complaint)
			}
		}
	}
	defer start(l.On("m1", append([]string{l.Command}, rounded(m, first, "--steps", "1000000", "--host", "sea",
		"--key-file", key)...)...))()
	defer start(l.On("m2", l.Command, "pretrain", "--join", "sea", "--key-file", key, "--data", m.Train, "--tokenizer",
		m.Tokenizer, "--device", "host", "--out", second))()
	together := func() (n int) {
		for _, r := range roundsIn(t, first) {
			n += strings.Count(string(r["shares"]), `"process":1`)
		}
		return n
	}
	until(t, func() bool { _, err := os.Stat(filepath.Join(first, record.File)); return err == nil }, "no run begins")
	until(t, func() bool { return together() > 3 }, "the second does not take part")
	l.Do("address", "m1", "9")
	time.Sleep(2 * time.Second) // What was on its way has come.
	before := together()
	untilAfter(t, 2*time.Minute, func() bool { return together() > before+3 }, "the second does not come back")
}
