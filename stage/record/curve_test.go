package record

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadCurve(t *testing.T) {
	const metrics = `{"event":"resume","step":0,"stage":1}
{"step":1,"stage":1,"loss":6.5,"lr":0.1,"tokens":64,"bytes":{"weights":8}}
{"event":"eval","step":1,"stage":1,"result":{"tokens":3},"seconds":0.5}
{"event":"checkpoint","step":1,"stage":1,"seconds":0.25}
{"step":2,"stage":1,"loss":6.25,"tokens":128,"tokens_per_second":32,"bytes":{"weights":8}}
{"event":"growth","step":2,"stage":2,"from_layers":1,"to_layers":2,"seconds":1}
{"step":3,"stage":2,"loss":6.75,"tokens":192,"tokens_per_second":64,"flops":1e9,"bytes":{"weights":12}}
{"event":"end","step":3,"stage":2,"checkpoint":"final"}
`
	dir := t.TempDir()
	file := filepath.Join(dir, File)
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(metrics)
	want := Curve{Steps: []int{1, 2, 3}, Tokens: []int64{64, 128, 192}, Loss: []float64{6.5, 6.25, 6.75},
		FLOPs: []float64{0, 0, 1e9}, Seconds: []float64{0, 2.75, 4.75},
		Bytes: []Held{{0, map[string]int64{"weights": 8}}, {2, map[string]int64{"weights": 12}}},
		Events: []After{
			{0, Evaluation{At: At{Step: 1, Stage: 1}, Result: Result(`{"tokens":3}`), Seconds: 0.5}},
			{1, Growth{Transition{At: At{Step: 2, Stage: 2}, From: 1, To: 2, Seconds: 1}}},
			{2, End{At: At{Step: 3, Stage: 2}, Checkpoint: "final"}},
		}}
	for _, path := range []string{dir, file} {
		got, err := ReadCurve(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}

	for name, c := range map[string]struct{ content, want string }{
		"empty":        {"", "metrics.jsonl has no step yet"},
		"events alone": {`{"event":"resume","step":0}` + "\n", "has no step yet"},
		"cut off":      {metrics[:strings.Index(metrics, "\n")/2], "has no step yet"},
		"not JSON":     {metrics + "Killed\n", "line 9: not a line of metrics"},
		"a wrong type": {strings.Replace(metrics, "6.25", `"low"`, 1), "line 5: not a line of metrics"},
		"out of range": {strings.Replace(metrics, "6.25", "1e999", 1), "line 5: not a line of metrics"},
		"no loss":      {strings.Replace(metrics, `"loss":6.25,`, "", 1), "line 5: neither an event nor a step"},
		"a blank line": {metrics + "\n", "line 9: not a line of metrics"},
		"other JSON":   {`{"a":1}` + "\n", "line 1: neither an event nor a step"},
		"twice":        {metrics + metrics, "line 10: step 1 (64 tokens) follows step 3 (192 tokens)"},
		"tokens go back": {strings.Replace(metrics, "192", "100", 1),
			"line 7: step 3 (100 tokens) follows step 2 (128 tokens)"},
	} {
		write(c.content)
		if _, err := ReadCurve(dir); err == nil || !strings.Contains(err.Error(), c.want) ||
			!strings.Contains(err.Error(), file) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	for path, want := range map[string]string{t.TempDir(): "holds no run: there is no metrics.jsonl",
		filepath.Join(dir, "none"): "none: no such file"} {
		if _, err := ReadCurve(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", path, err, want)
		}
	}
}
