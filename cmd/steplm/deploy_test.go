package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v2"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/cmd/steplm/internal/command"
	"steplm/cmd/steplm/internal/flags"
)

// parsed is an error unless the program takes a command line.
func parsed(t *testing.T, args ...string) error {
	t.Helper()
	parser, err := kong.New(&command.CLI{}, kong.Name("steplm"), flags.Vars, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return err
}

// pod is what of a pod this test looks at.
type pod struct {
	Spec struct {
		Containers []struct {
			Name, Image   string
			Command, Args []string
			Resources     struct{ Requests, Limits map[string]string }
			VolumeMounts  []struct {
				Name string
				Path string `yaml:"mountPath"`
			} `yaml:"volumeMounts"`
		}
		Volumes []struct {
			Name  string
			Claim map[string]string `yaml:"persistentVolumeClaim"`
		}
	}
}

// The MPIJob has what Kubeflow's CRD of v2beta1 (mpi-operator v0.6.0, against whose schema it was checked once) asks
// for, no field by another name, and starts a command line that this program takes, in as many processes as there are
// slots.
func TestMPIJob(t *testing.T) {
	var job struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   map[string]string
		Spec       struct {
			SlotsPerWorker int    `yaml:"slotsPerWorker"`
			SSH            string `yaml:"sshAuthMountPath"`
			Creation       string `yaml:"launcherCreationPolicy"`
			RunPolicy      struct {
				Clean   string `yaml:"cleanPodPolicy"`
				Backoff int    `yaml:"backoffLimit"`
			} `yaml:"runPolicy"`
			Implementation string `yaml:"mpiImplementation"`
			Replicas       map[string]struct {
				Replicas int
				Restart  string `yaml:"restartPolicy"`
				Template pod
			} `yaml:"mpiReplicaSpecs"`
		}
	}
	if err := yaml.UnmarshalStrict([]byte(clitest.Contents(t, "../../deploy/mpijob.yaml")), &job); err != nil {
		t.Fatal(err)
	}
	s := job.Spec
	launcher, worker := s.Replicas["Launcher"], s.Replicas["Worker"]
	if job.APIVersion != "kubeflow.org/v2beta1" || job.Kind != "MPIJob" || len(s.Replicas) != 2 ||
		s.Implementation != "OpenMPI" || !slices.Contains([]string{"Running", "All", "None"}, s.RunPolicy.Clean) ||
		s.Creation != "WaitForWorkersReady" || launcher.Replicas != 1 || len(launcher.Template.Spec.Containers) != 1 ||
		len(worker.Template.Spec.Containers) != 1 {
		t.Fatalf("%+v", job)
	}
	args := launcher.Template.Spec.Containers[0].Args
	at := slices.Index(args, "steplm")
	if at < 0 {
		t.Fatalf("mpirun %q starts no steplm", args)
	}
	if err := parsed(t, args[at+1:]...); err != nil {
		t.Errorf("%q: %v", args[at:], err)
	}
	if n, want := args[slices.Index(args, "-n")+1], worker.Replicas*s.SlotsPerWorker; n != string(rune('0'+want)) {
		t.Errorf("%s processes, and %d slots", n, want)
	}
	w, l := worker.Template.Spec, launcher.Template.Spec
	for _, path := range args[at:] {
		if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, w.Containers[0].VolumeMounts[0].Path+"/") {
			t.Errorf("%s is in no volume of the workers", path)
		}
	}
	for _, p := range []struct{ volume, mount string }{
		{w.Volumes[0].Name, w.Containers[0].VolumeMounts[0].Name},
		{l.Volumes[0].Name, l.Containers[0].VolumeMounts[0].Name},
		{w.Volumes[0].Claim["claimName"], l.Volumes[0].Claim["claimName"]},
		{w.Containers[0].VolumeMounts[0].Path, l.Containers[0].VolumeMounts[0].Path},
	} {
		if p.volume != p.mount {
			t.Errorf("%q is mounted, %q is there", p.mount, p.volume)
		}
	}
	// The operator names it to Open MPI 4 by a variable, which 5 does not know: it would start all processes here.
	if at := slices.Index(args, "--hostfile"); at < 0 || args[at+1] != "/etc/mpi/hostfile" {
		t.Errorf("mpirun %q is not told of the workers", args)
	}
	launches(t, l.Containers[0].Command, args[slices.Index(args, "--out")+1])
	image := clitest.Contents(t, "../../deploy/Dockerfile")
	for _, needed := range []string{filepath.Base(w.Containers[0].Command[0]), "openmpi-bin", "openssh-server",
		"mesa-vulkan-drivers", "libvulkan1", "libglvnd0", "libglx0", "libegl1"} {
		if !strings.Contains(image, needed) {
			t.Errorf("the image has no %s", needed)
		}
	}
}

// launches has the launcher's command start an mpirun that ends in several ways: it ends with 0 where that did and the
// trained model is there, and hands on that it is to end.
func launches(t *testing.T, command []string, out string) {
	t.Helper()
	sh, err := exec.LookPath(command[0])
	if err != nil {
		t.Skip("there is no sh")
	}
	dir := t.TempDir()
	if !strings.Contains(command[2], out+"/final") {
		t.Errorf("%q does not look at %s/final", command[2], out)
	}
	script := strings.ReplaceAll(command[2], out, dir)
	mpirun := "#!/bin/sh\ntrap 'exit 9' TERM\nsleep \"$1\" >/dev/null 2>&1 & wait\nexit \"$2\"\n"
	if err := os.WriteFile(filepath.Join(dir, "mpirun"), []byte(mpirun), 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(code int, signal os.Signal, args ...string) {
		t.Helper()
		c := exec.Command(sh, append([]string{command[1], script, command[3]}, args...)...)
		c.Env = append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
		child := clitest.StartChild(t, c)
		if signal != nil {
			time.Sleep(300 * time.Millisecond)
			child.Interrupt(signal)
		}
		child.Out.Close()
		c.Wait()
		if got := c.ProcessState.ExitCode(); got != code {
			t.Errorf("%q, %v: exit code %d, want %d: %s", args, signal, got, code, &child.Complaint)
		}
	}
	run(1, nil, "0", "0")
	if err := os.Mkdir(filepath.Join(dir, "final"), 0o755); err != nil {
		t.Fatal(err)
	}
	run(0, nil, "0", "0")
	run(1, nil, "0", "7")
	run(1, syscall.SIGTERM, "5", "0")
}

// The image is built by the Go that go.mod asks for, of files that are there.
func TestDockerfile(t *testing.T) {
	image := clitest.Contents(t, "../../deploy/Dockerfile")
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(clitest.Contents(t, "../../go.mod"))
	if !strings.Contains(image, "FROM golang:"+version[1]+"-") {
		t.Errorf("go.mod asks for Go %s: %s", version[1], image)
	}
	copies := regexp.MustCompile(`(?m)^COPY ([^-\n]+) \S+$`).FindAllStringSubmatch(image, -1)
	if len(copies) != 2 {
		t.Fatalf("%d copies from the repository", len(copies))
	}
	for _, c := range copies {
		for _, path := range strings.Fields(c[1]) {
			if _, err := os.Stat(filepath.Join("../..", path)); err != nil {
				t.Error(err)
			}
		}
	}
}

// The batch script, with an srun that prints what it is asked for, begins a run and goes on with it, by command lines
// that this program takes; without a folder it says how it is called.
func TestBatchScript(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	bin, out := t.TempDir(), filepath.Join(t.TempDir(), "run")
	srun := "#!/bin/sh\nprintf '%s\\n' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "srun"), []byte(srun), 0o755); err != nil {
		t.Fatal(err)
	}
	call := func(args ...string) ([]string, error) {
		c := exec.Command(bash, append([]string{"../../deploy/steplm.sbatch"}, args...)...)
		c.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
		text, err := c.Output()
		return strings.Fields(string(text)), err
	}
	check := func(got []string, err error, want ...string) {
		t.Helper()
		at := slices.Index(got, "steplm")
		if err != nil || at < 0 || !slices.Equal(got[at+1:], want) || !slices.Contains(got[:at], "--mpi=pmix") {
			t.Fatalf("srun gets %q, %v, want %q", got, err, want)
		}
		if err := parsed(t, got[at+1:]...); err != nil {
			t.Errorf("%q: %v", got, err)
		}
	}
	flags := []string{"--model", "368m", "--tokenizer", "t.json", "--data", "d", "--tokens", "7000000000"}
	got, err := call(append([]string{out}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	check(got, err, append([]string{"pretrain", "--out", out}, flags...)...)
	if err := os.MkdirAll(out, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "recipe.json"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err = call(out, "--model", "368m")
	check(got, err, "pretrain", "--resume", out)
	if _, err := call(); err == nil {
		t.Error("without a folder it does something")
	}
}
