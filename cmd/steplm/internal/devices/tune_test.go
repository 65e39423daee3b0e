package devices

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/wgsl/tune"
)

type tunedDevice struct {
	Device  string        `json:"device"`
	Classes []tune.Result `json:"classes"`
}

// The classes of a small model are tried out once and then known.
func TestDevicesTune(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "tune")
	for _, dev := range clitest.Devices(t) {
		args := []string{"devices", "tune", "--device", dev, "--hidden", "16", "--ffn", "24", "--layers", "2",
			"--heads", "2", "--vocab", "32", "--max-seq-len", "8", "--tied",
			"--rank", "4", "--batch-size", "2", "--seq-len", "8", "--seconds-per-class", "0.02", "--tune-cache", cache}
		if dev == "host" {
			clitest.Fail(t, 1, []string{"host (plain Go) has nothing to tune", "steplm devices"}, args...)
			continue
		}
		tuned := func(more ...string) (d tunedDevice) {
			t.Helper()
			if err := json.Unmarshal([]byte(clitest.Succeed(t, "", append(append(args, "--json"), more...)...)),
				&d); err != nil {
				t.Fatal(err)
			}
			return d
		}
		first, second := tuned(), tuned()
		kinds := map[string]bool{}
		for i, r := range first.Classes {
			kinds[strings.Fields(r.Class)[0]] = true
			if r.Variant == "" || r.Tried < 1 || !(r.GFLOPS > 0) || len(r.Excluded) > 0 {
				t.Errorf("%+v", r)
			}
			if s := second.Classes[i]; s.Class != r.Class || s.Variant != r.Variant || s.GFLOPS != r.GFLOPS {
				t.Errorf("found %+v, known as %+v", r, s)
			}
		}
		for _, kind := range []string{"matmul", "attention_forward", "attention_backward_query",
			"attention_backward_key_value"} {
			if !kinds[kind] {
				t.Errorf("nothing of %s was tuned", kind)
			}
		}
		if again := tuned("--again"); slices.EqualFunc(again.Classes, first.Classes,
			func(a, b tune.Result) bool { return a.GFLOPS == b.GFLOPS }) {
			t.Error("--again took what was known")
		}
		if table := clitest.Succeed(t, "", args...); !strings.Contains(table, "GFLOP/s") ||
			!strings.Contains(table, first.Classes[0].Class) {
			t.Errorf("%s", table)
		}
		files, err := os.ReadDir(cache)
		if err != nil || len(files) != 1 {
			t.Fatalf("%d caches: %v", len(files), err)
		}
		if err := os.WriteFile(filepath.Join(cache, files[0].Name()), []byte("damaged"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, stderr, code := clitest.Call(t, "", append(args, "--json")...); code != 0 ||
			!strings.Contains(stderr, "warning: what tuning found before is not used") {
			t.Errorf("with a damaged cache: exit code %d, %s", code, stderr)
		}
	}
	clitest.Fail(t, 2, []string{"--seconds-per-class 0"}, "devices", "tune", "--model", "tiny", "--seconds-per-class",
		"0")
	clitest.Fail(t, 2, []string{"--seconds-per-class -1"}, "bench", "step", "--model", "tiny", "--seconds-per-class=-1")
	clitest.Fail(t, 2, []string{"--stages and --split say nothing with --method vanilla"}, "devices", "tune", "--model",
		"tiny",
		"--method", "vanilla", "--stages", "2")
}
