package command

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/gpu"
)

func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		args  []string
		parts []string
	}{
		{nil, []string{"pretrain", "run `steplm --help`"}},
		{[]string{"paln"}, []string{"plan", "run `steplm --help`"}},
		{[]string{"plan", "--modle", "tiny"}, []string{"--modle", "--model", "run `steplm plan --help`"}},
		{[]string{"plan", "--layers", "many"}, []string{"--layers", "run `steplm plan --help`"}},
		{[]string{"plan", "--hidden", "64"}, []string{"--ffn, --layers, --heads, --vocab", "tiny",
			"run `steplm plan --help`"}},
		{[]string{"tokenizer", "encode"}, []string{"--tokenizer", "run `steplm tokenizer encode --help`"}},
		{[]string{"score", "--model", "x"}, []string{"--ids", "--text", "run `steplm score --help`"}},
		{[]string{"score", "--model", "x", "--ids", "1", "--text", "a"}, []string{"--ids", "--text", "together"}},
		{[]string{"score", "--model", "x", "--ids", "1", "--add-special"}, []string{"--add-special", "--text"}},
		{[]string{"score", "--model", "x", "--ids", "1,-2"}, []string{"-2"}},
		{[]string{"eval", "ppl", "--model", "x", "--wikitext", "y", "--stride", "8"},
			[]string{"--stride", "WikiText has its own"}},
		{[]string{"eval", "ppl", "--model", "x"}, []string{"--data", "--text", "--wikitext",
			"run `steplm eval ppl --help`"}},
	} {
		clitest.Fail(t, 2, c.parts, c.args...)
	}
}

func TestHelpSucceeds(t *testing.T) {
	for _, command := range []string{"", "demo", "pretrain", "plan", "plot", "devices", "score", "eval ppl",
		"bench matmul", "bench attention", "bench step", "bench methods", "bench all", "tokenizer train",
		"tokenizer encode", "tokenizer decode"} {
		args := append(strings.Fields(command), "--help")
		if out := clitest.Succeed(t, "", args...); !strings.Contains(out, "Usage: steplm "+command) {
			t.Errorf("steplm %s --help: %q", command, out)
		}
	}
}

func TestUnknownDevice(t *testing.T) {
	if len(clitest.Devices(t)) == 1 {
		t.Skip(gpu.NoAdapterHelp)
	}
	clitest.Fail(t, 1, []string{`"no such GPU"`, "host"}, "score", "--model", clitest.RandomModel(t, 280), "--ids",
		"1,2", "--device",
		"no such GPU")
}

// What other programs and scripts give to pretrain stays there.
func TestPretrainFlags(t *testing.T) {
	help := clitest.Succeed(t, "", "pretrain", "--help")
	for _, flag := range []string{
		"method", "stages", "rank", "model", "vocab", "data", "validation", "wikitext", "tokenizer", "tokens", "steps",
		"batch-size", "seq-len",
		"grad-accum", "lr", "seed", "out", "save-every", "keep", "eval-every", "eval-tokens", "resume", "device",
		"precision", "json",
	} {
		if !regexp.MustCompile(`(?m)^ +--` + flag + `(=| |$)`).MatchString(help) {
			t.Errorf("pretrain has no --%s", flag)
		}
	}
}

// A flag that the method does not heed is named, not ignored in silence.
func TestPretrainNamesUnusedFlags(t *testing.T) {
	m, run := clitest.NewMaterial(t), clitest.NewRun(t)
	for _, c := range []struct {
		method string
		given  []string
		want   string
	}{
		{"vanilla", []string{"--stages", "1", "--operator", "copy", "--lr", "1e-3", "--no-train-norms"},
			"steplm: warning: --rank, --operator, --train-norms: of no effect with --method vanilla\n"},
		{"step", []string{"--operator", "copy", "--no-train-norms"}, ""},
	} {
		args := m.Pretrain(filepath.Join(run, c.method), append([]string{"--method", c.method, "--device", "host"},
			c.given...)...)
		if _, stderr, code := clitest.Call(t, "", args...); code != 0 || stderr != c.want {
			t.Errorf("%s: exit code %d, standard error %q, want %q", c.method, code, stderr, c.want)
		}
	}
}

// Every command begins by making the parser of all of them, which is quick: what flags' defaults refer to is put in its
// place once, and not looked through for every flag.
func TestParserIsMadeQuickly(t *testing.T) {
	if n := testing.AllocsPerRun(1, func() { New(t.Context()) }); n > 100_000 {
		t.Errorf("it takes %.0f allocations", n)
	}
}
