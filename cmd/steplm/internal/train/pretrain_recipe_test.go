package train

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
)

// What a flag says is what the recipe holds, and so what the run does.
func TestFlagsReachTheRecipe(t *testing.T) {
	m := clitest.NewMaterial(t)
	out := filepath.Join(t.TempDir(), "run")
	clitest.Succeed(t, "", m.Pretrain(out, "--device", "host", "--steps", "16", "--grad-accum", "2", "--seed", "9",
		"--lr", "0.01,0.02", "--weight-decay", "0.5,0.25", "--adapter-lr", "4", "--adapter-weight-decay", "0.5",
		"--beta1", "0.8", "--beta2", "0.875", "--eps", "1e-6", "--clip-norm", "0.75",
		"--warmup", "2", "--rewarm", "3", "--min-lr-ratio", "0.375",
		"--schedule", "cosine", "--operator", "copy", "--position", "lower",
		"--rank", "3", "--alpha", "5", "--lora-targets", "wq,down",
		"--no-train-embedding", "--no-train-head", "--no-train-norms", "--head-rows", "7",
		"--mask", "documents", "--positions", "restart")...)
	text, err := os.ReadFile(filepath.Join(out, "recipe.json"))
	if err != nil {
		t.Fatal(err)
	}
	var recipe any
	if err := json.Unmarshal(text, &recipe); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path []any
		want any
	}{
		{[]any{"grad_accum"}, 2.0},
		{[]any{"seed"}, 9.0},
		{[]any{"micro_batch", "head_rows"}, 7.0},
		{[]any{"micro_batch", "mask"}, "documents"},
		{[]any{"micro_batch", "positions"}, "restart"},
		{[]any{"optimizer", "beta1"}, 0.8},
		{[]any{"optimizer", "beta2"}, 0.875},
		{[]any{"optimizer", "eps"}, 1e-6},
		{[]any{"optimizer", "max_norm"}, 0.75},
		{[]any{"adapter", "rank"}, 3.0},
		{[]any{"adapter", "alpha"}, 5.0},
		{[]any{"adapter", "targets", 1}, "down"},
		{[]any{"train_embedding"}, false},
		{[]any{"train_head"}, false},
		{[]any{"train_norms"}, false},
		{[]any{"stages", 0, "lr"}, 0.01},
		{[]any{"stages", 0, "weight_decay"}, 0.5},
		{[]any{"stages", 0, "entry", "verbs", 0, "steps"}, 2.0},
		{[]any{"stages", 1, "lr"}, 0.02},
		{[]any{"stages", 1, "weight_decay"}, 0.25},
		{[]any{"stages", 1, "adapter_lr"}, 0.08},
		{[]any{"stages", 1, "adapter_weight_decay"}, 0.125},
		{[]any{"stages", 1, "entry", "verbs", 5, "steps"}, 3.0},
		{[]any{"stages", 1, "schedule", "min_ratio"}, 0.375},
		{[]any{"stages", 1, "entry", "verbs", 0, "operator"}, "copy"},
		{[]any{"stages", 1, "entry", "verbs", 0, "position"}, "lower"},
	} {
		got := recipe
		for _, key := range c.path {
			switch key := key.(type) {
			case string:
				object, _ := got.(map[string]any)
				got = object[key]
			case int:
				if list, _ := got.([]any); key < len(list) {
					got = list[key]
				} else {
					got = nil
				}
			}
		}
		if got != c.want {
			t.Errorf("%v is %v, want %v", c.path, got, c.want)
		}
	}
}

// A model's folder gives its shape; that its weights are not gone on with is said.
func TestPretrainIgnoresWeights(t *testing.T) {
	m, run := clitest.NewMaterial(t), clitest.NewRun(t)
	dir := clitest.RandomModel(t, 300)
	args := []string{"pretrain", "--model", dir, "--data", m.Train, "--tokenizer", m.Tokenizer, "--out", run, "--steps",
		"4", "--seq-len", "8", "--batch-size", "1", "--rank", "2", "--device", "host"}
	_, stderr, code := clitest.Call(t, "", args...)
	want := "steplm: warning: the weights in " + dir + " (model.safetensors) are ignored"
	if code != 0 || !strings.Contains(stderr, want) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	_, stderr, code = clitest.Call(t, "", append([]string{"pretrain", "--resume", run}, "--device", "host")...)
	if code != 0 || strings.Contains(stderr, "ignored") {
		t.Errorf("a resumed run, exit code %d: %s", code, stderr)
	}
	if err := os.Remove(filepath.Join(dir, "model.safetensors")); err != nil {
		t.Fatal(err)
	}
	args[8] = run + "-2"
	if _, stderr, code = clitest.Call(t, "", args...); code != 0 || strings.Contains(stderr, "ignored") {
		t.Errorf("a folder without weights, exit code %d: %s", code, stderr)
	}
}

// A second process joins a run's rounds by its name and key: how to train it hears, where things lie it says. Both end
// with the same model. What cannot be joined, or opened to others, is refused in one line.
func TestHostAndJoin(t *testing.T) {
	m, host, joined := clitest.NewMaterial(t), clitest.NewRun(t), clitest.NewRun(t)
	t.Setenv("STEPLM_KEY", strings.Repeat("k", 40))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := listener.Addr().String()
	listener.Close()
	places := []string{"--data", m.Train, "--tokenizer", m.Tokenizer, "--device", "host"}
	hosting := clitest.CallOf(t.Context(), m.Pretrain(host, "--host", "test", "--listen", at, "--outer-every", "2",
		"--outer-wire", "int8", "--steps", "240", "--quorum", "1", "--device", "host")...)
	ended := make(chan string, 1)
	go func() {
		_, stderr, code := clitest.Finish(t, hosting, "")
		ended <- fmt.Sprint(code, " ", stderr)
	}()
	clitest.Succeed(t, "", append([]string{"pretrain", "--join", "test", "--at", at, "--out", joined}, places...)...)
	if said := <-ended; !strings.HasPrefix(said, "0 ") || !strings.Contains(said, "joins with the next round") {
		t.Fatalf("the coordinator: %s", said)
	}
	a, b := clitest.Contents(t, host, "final", "model.safetensors"), clitest.Contents(t, joined, "final",
		"model.safetensors")
	if a != b {
		t.Error("the two processes end with other models")
	}
	both := 0
	for _, l := range clitest.ReadMetrics(t, host) {
		if l.Text("event") == "round" && strings.Count(string(l["shares"]), `"process"`) == 2 {
			both++
		}
	}
	if both == 0 {
		t.Error("no round was made by both")
	}
	// A run that was opened to others goes on alone, too.
	clitest.Succeed(t, "", "pretrain", "--resume", host, "--device", "host")
	for _, c := range []struct {
		args  []string
		parts []string
		code  int
	}{
		{[]string{"--host", "test"}, []string{"--host", "--outer-every"}, 2},
		{[]string{"--host", "test", "--join", "test"}, []string{"--host and --join"}, 2},
		{[]string{"--join", "test", "--resume", host}, []string{"--join with --resume"}, 2},
		{[]string{"--at", at}, []string{"--at", "--join"}, 2},
		{[]string{"--host", "A b", "--outer-every", "2"}, []string{"lower-case"}, 2},
		{[]string{"--host", "test", "--outer-every", "2", "--on-spike", "rollback"}, []string{"--on-spike", "stop"}, 2},
		{[]string{"--outer-wire", "int8"}, []string{"--outer-wire", "rounds"}, 2},
		{[]string{"--outer-start", "2"}, []string{"--outer-start 2", "rounds"}, 2},
		{[]string{"--outer-every", "2", "--outer-start", "8"}, []string{"after step 8", "none"}, 1},
		{[]string{"--join", "test", "--rejoin-for=-1s"}, []string{"--rejoin-for -1s"}, 2},
		{[]string{"--rejoin-for", "1s"}, []string{"--rejoin-for", "--join"}, 2},
		{[]string{"--listen", at}, []string{"--listen", "--host"}, 2},
		{[]string{"--join", "test", "--quorum", "1"}, []string{"--quorum", "--host"}, 2},
		{[]string{"--join", "test", "--at", "192.0.2.1"}, []string{"--at 192.0.2.1", "192.0.2.1:7417"}, 2},
		{[]string{"--outer-every", "2", "--outer-wire", "int3"}, []string{"int3", "int4"}, 1},
	} {
		clitest.Refused(t, m, c.code, c.parts, append(c.args, "--device", "host")...)
	}
	os.Unsetenv("STEPLM_KEY")
	clitest.Refused(t, m, 2, []string{"STEPLM_KEY", "--key-file"}, "--host", "test", "--outer-every", "2")
}
