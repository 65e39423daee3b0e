//go:build unix

package train

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"

	"steplm/cmd/steplm/internal/clitest"
)

// replay runs a command on a terminal and has see look at its screen after whatever it wrote. It returns the screen
// that is left, which is tall enough for all of it.
func replay(t *testing.T, c *exec.Cmd, columns int, see func(screen []string)) []string {
	t.Helper()
	const rows = 400
	f, err := pty.StartWithSize(c, &pty.Winsize{Rows: rows, Cols: uint16(columns)})
	if err != nil {
		t.Skip("there is no terminal to be had: ", err)
	}
	defer f.Close()
	e := vt.NewEmulator(columns, rows)
	defer e.Close()
	lines := func() []string {
		list := strings.Split(strings.TrimRight(e.String(), " \n\r"), "\n")
		for i := range list {
			list[i] = strings.TrimRight(list[i], " \r")
		}
		return list
	}
	buffer := make([]byte, 4096)
	for {
		n, err := f.Read(buffer)
		e.Write(buffer[:n])
		if err != nil { // Linux ends a terminal that nobody writes to any more with an error.
			break
		}
		see(lines())
	}
	if err := c.Wait(); err != nil {
		t.Fatalf("%v: %s", err, strings.Join(lines(), "\n"))
	}
	return lines()
}

var (
	// training is what a narrow terminal's line says of training: share, time left, stage, loss, tokens a second.
	training = regexp.MustCompile(`^train +(\d+)% +(\d+m)?\d+s +[12]/2 +loss \d+\.\d{3} +[\d.]+[kM]?/s$`)
	shown    = regexp.MustCompile(`^(train|evaluate|compile|tune|save and write|read and check) `)
)

// What a person sees of a run at 40 columns: one line of what happens now, from a resume on too, and nothing of it
// that stays.
func TestPretrainOnATerminal(t *testing.T) {
	m, run := clitest.NewMaterial(t), clitest.NewRun(t)
	tasks := m.Evaluated("--device", "host", "--eval-every", "20", "--steps", "60", "--schedule", "constant",
		"--method", "step", "--stages", "2")
	longer := []string{"pretrain", "--resume", run, "--steps", "90", "--device", "host"}
	for _, args := range [][]string{m.Pretrain(run, tasks...), longer} {
		resumed, seen, evaluated := args[1] == "--resume", 0, 0
		c := clitest.CallOf(t.Context(), args...)
		left := replay(t, c, 40, func(screen []string) {
			jobs := 0
			for i, line := range screen {
				if shown.MatchString(line) {
					if jobs++; i != len(screen)-1 {
						t.Errorf("%q is above the last line, %q", line, screen[len(screen)-1])
					}
				}
			}
			last := screen[len(screen)-1]
			if strings.HasPrefix(last, "evaluate ") && strings.Contains(last, "%") {
				evaluated++
			}
			if m := training.FindStringSubmatch(last); m != nil {
				if seen++; resumed && len(m[1]) < 2 {
					t.Errorf("a run that went on at step 60 of 90 shows %q", last)
				}
			}
		})
		for _, line := range left {
			if shown.MatchString(line) || strings.ContainsAny(line, "|/-\\") && len(strings.TrimSpace(line)) == 1 {
				t.Errorf("%q is left on the screen", line)
			}
		}
		if seen == 0 || evaluated == 0 {
			t.Errorf("%q: training was shown %d times as %s, an evaluation %d times:\n%s", args[:3], seen, training,
				evaluated, strings.Join(left, "\n"))
		}
	}
}
