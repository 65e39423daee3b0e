package devices

import (
	"encoding/json"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
)

// A driver that drops work, one that is lost, which ends the process, and one that cannot be opened, before one that
// works: the second is taken, and the first told in one line. Where there is no second, the error says what to do.
func TestFirstDeviceThatPasses(t *testing.T) {
	two := append(clitest.TwoDrivers(t), clitest.FaultyVulkan(t)...)
	run := func(fault string, args ...string) (stdout, stderr string, code int) {
		c := clitest.CallOf(t.Context(), args...)
		c.Env = append(append(c.Env, two...), "FAULTVK="+fault)
		if strings.HasPrefix(fault, "0 ") {
			c.Env = append(c.Env, "FAULTVK_ADAPTER=0", "FAULTVK="+fault[2:])
		}
		return clitest.Finish(t, c, "")
	}
	compile := []string{"kernels", "compile", "--kernel", "canary"}
	for fault, reason := range map[string]string{
		"vkQueueSubmit:3:drop": "self-test",
		"vkQueueSubmit:3:-4":   "lost",
		"vkCreateDevice:1:-3":  "device",
	} {
		t.Run(fault, func(t *testing.T) {
			stdout, stderr, code := run("0 "+fault, compile...)
			if code != 0 || !strings.Contains(stdout, "seconds") {
				t.Errorf("exit code %d: %s", code, stdout)
			}
			if lines := strings.Split(strings.TrimSpace(stderr), "\n"); len(lines) != 1 ||
				!strings.HasPrefix(stderr, "steplm: warning: device 0, llvmpipe") ||
				!strings.Contains(stderr, "is skipped: ") || !strings.Contains(strings.ToLower(stderr), reason) {
				t.Errorf("told: %s", stderr)
			}

			_, stderr, code = run(fault, compile...)
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			if code != 1 || len(lines) != 3 ||
				!strings.Contains(lines[2], "none of 2 devices passes its self-test; --device INDEX takes it") {
				t.Errorf("exit code %d: %s", code, stderr)
			}

			if reason != "lost" { // One fault is enough for the list.
				return
			}
			stdout, _, code = run("0 "+fault, "devices", "--json")
			var list listedDevices
			if err := json.Unmarshal([]byte(stdout), &list); err != nil || code != 0 || len(list.Devices) != 3 ||
				list.Devices[0].OK || !list.Devices[1].OK || !list.Devices[2].OK {
				t.Errorf("exit code %d, %v: %s", code, err, stdout)
			}
			out, _, _ := run("0 "+fault, "devices")
			table := strings.Split(strings.TrimSpace(out), "\n")
			if len(table) < 6 || len(table[0]) != len(table[1]) || len(table[1]) != len(table[2]) ||
				strings.Count(strings.Join(table[:4], "\n"), "FAILED") != 1 || !strings.HasPrefix(table[5], "0: ") {
				t.Errorf("the table is\n%s", strings.Join(table, "\n"))
			}
		})
	}
	if _, stderr, code := run("0 vkQueueSubmit:9:-4", append(compile, "--device", "1")...); code != 0 || stderr != "" {
		t.Errorf("a device that was named, exit code %d: %s", code, stderr)
	}
}
