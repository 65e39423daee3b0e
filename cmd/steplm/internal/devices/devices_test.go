package devices

import (
	"encoding/json"
	"os"
	"runtime"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/gpu"
)

type listedDevices struct {
	Devices []struct {
		Index       *int   `json:"index"`
		Name        string `json:"name"`
		Backend     string `json:"backend"`
		Kind        string `json:"kind"`
		Binding     int64  `json:"max_binding_bytes"`
		Buffer      int64  `json:"max_buffer_bytes"`
		Invocations int    `json:"max_invocations"`
		OK          bool   `json:"ok"`
	} `json:"devices"`
}

func TestDevices(t *testing.T) {
	if len(clitest.Devices(t)) == 1 {
		t.Skip(gpu.NoAdapterHelp)
	}
	var list listedDevices
	if err := json.Unmarshal([]byte(clitest.Succeed(t, "", "devices", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Devices) != len(gpu.Enumerate())+1 {
		t.Fatalf("%d devices, there are %d adapters", len(list.Devices), len(gpu.Enumerate()))
	}
	table := strings.Split(strings.TrimSpace(clitest.Succeed(t, "", "devices")), "\n")[1:]
	for i, d := range list.Devices {
		host := i == len(list.Devices)-1
		if host != (d.Backend == "host") || host != (d.Index == nil) || !host && *d.Index != i {
			t.Errorf("device %d is %+v", i, d)
		}
		if !d.OK || d.Binding < 1<<20 || d.Buffer < d.Binding || d.Invocations < 64 {
			t.Errorf("device %d is %+v", i, d)
		}
		if !strings.Contains(table[i], d.Name) || !strings.Contains(table[i], "passed") {
			t.Errorf("line %d of the table is %q", i, table[i])
		}
	}
}

// Without an adapter the host is still listed, and the one line on standard
// error says what to install.
func TestDevicesWithoutAdapter(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only the Vulkan loader can be told that there is no driver")
	}
	for _, args := range [][]string{{"devices"}, {"devices", "--json"}} {
		c := clitest.CallOf(t.Context(), args...)
		c.Env = append(c.Env, "VK_DRIVER_FILES="+os.DevNull, "VK_ICD_FILENAMES="+os.DevNull)
		stdout, stderr, code := clitest.Finish(t, c, "")
		clitest.CheckFailure(t, strings.Join(args, " "), stderr, code, 1, "mesa-vulkan-drivers", "--device host")
		if !strings.Contains(stdout, "host (plain Go)") {
			t.Errorf("%v: the host is not listed: %q", args, stdout)
		}
	}
}
