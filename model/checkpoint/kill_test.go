package checkpoint

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The test binary runs itself as the process that is killed.
const childMode, childParent = "STEPLM_CHECKPOINT_CHILD", "STEPLM_CHECKPOINT_PARENT"

var children = map[string]func(parent string) error{
	"stop in a file": func(parent string) error {
		d, err := Begin(parent, "step-5")
		if err != nil {
			return err
		}
		out, err := d.Create("weights.bin")
		if err != nil {
			return err
		}
		if _, err := out.Write(make([]byte, 500)); err != nil {
			return err
		}
		return stop()
	},
	"stop before commit": func(parent string) error {
		d, err := Begin(parent, "step-5")
		if err != nil {
			return err
		}
		if err := writeFilled(d, 6, 1000); err != nil {
			return err
		}
		return stop()
	},
	"save for ever": func(parent string) error {
		fmt.Println("ready")
		for fill := byte(6); ; fill++ {
			if err := saveFilled(parent, "step-5", fill, 2000); err != nil {
				return err
			}
			if err := SetLatest(parent, "step-5"); err != nil {
				return err
			}
		}
	},
}

func stop() error {
	fmt.Println("ready")
	time.Sleep(time.Minute) // the parent kills long before
	return nil
}

func TestMain(m *testing.M) {
	if mode, ok := os.LookupEnv(childMode); ok {
		if err := children[mode](os.Getenv(childParent)); err != nil {
			fmt.Println("child:", err)
			os.Exit(3)
		}
		return
	}
	os.Exit(m.Run())
}

func child(mode, parent string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childMode+"="+mode, childParent+"="+parent)
	return cmd
}

// killChild runs a mode until it is ready and a while longer, then kills -9.
func killChild(t *testing.T, mode, parent string, after time.Duration) {
	t.Helper()
	cmd := child(mode, parent)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Errorf("the child said %q (%v)", line, err)
	}
	time.Sleep(after)
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	cmd.Wait()
	if cmd.ProcessState.ExitCode() == 3 {
		t.Error("the child failed before it was killed")
	}
}

func TestKilledInTheMiddle(t *testing.T) {
	for _, mode := range []string{"stop in a file", "stop before commit"} {
		for _, replacing := range []bool{false, true} {
			parent := t.TempDir()
			save(t, parent, "step-4", 4)
			if err := SetLatest(parent, "step-4"); err != nil {
				t.Fatal(err)
			}
			want := []string{"LATEST", "step-4"}
			if replacing {
				save(t, parent, "step-5", 5)
				want = append(want, "step-5")
			}
			killChild(t, mode, parent, 0)
			if got := entries(t, parent); len(got) != len(want)+1 || !strings.HasPrefix(got[0], ".step-5.saving-") {
				t.Errorf("%s: killed, the directory holds %v", mode, got)
			}
			if found, err := Clean(parent); err != nil || len(found) != 1 {
				t.Errorf("%s: Clean found %v (%v), want the unfinished save", mode, found, err)
			}
			wantEntries(t, parent, want...)
			for _, name := range want[1:] {
				if got, old := content(t, filepath.Join(parent, name)), name[len(name)-1]-'0'; got != old {
					t.Errorf("%s: %s holds %d, want %d", mode, name, got, old)
				}
			}
			if name, err := Latest(parent); name != "step-4" || err != nil {
				t.Errorf("%s: LATEST is %q (%v)", mode, name, err)
			}
		}
	}
}

// A process that replaces one checkpoint again and again is killed at whatever
// moment: afterwards there is always exactly one whole checkpoint.
func TestKilledAnywhere(t *testing.T) {
	parent := t.TempDir()
	save(t, parent, "step-5", 5)
	if err := SetLatest(parent, "step-5"); err != nil {
		t.Fatal(err)
	}
	moments := map[string]int{}
	for n := range 25 {
		killChild(t, "save for ever", parent, time.Duration(1000+997*n)*time.Microsecond)
		found, err := Clean(parent)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range found {
			moments[strings.TrimRight(name, "0123456789abcdef")]++
		}
		wantEntries(t, parent, "LATEST", "step-5")
		content(t, filepath.Join(parent, "step-5"))
		if name, err := Latest(parent); name != "step-5" || err != nil {
			t.Fatalf("LATEST is %q (%v)", name, err)
		}
	}
	t.Logf("leftovers found: %v", moments)
}
