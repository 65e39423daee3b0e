package command

import (
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/cmd/steplm/internal/flags"
)

// words are a command line's, as a shell splits it where quotes are single.
func words(line string) (list []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			list = append(list, part)
		} else {
			list = append(list, strings.Fields(part)...)
		}
	}
	return list
}

// Every command that help lists has examples, and each is a command line of it with numbers that are allowed.
func TestExamples(t *testing.T) {
	known := map[string]bool{}
	for _, leaf := range New(t.Context()).Model.Leaves(true) {
		name := strings.TrimPrefix(leaf.Path(), "steplm ")
		name, _, _ = strings.Cut(name, " <")
		name, _, _ = strings.Cut(name, " [")
		known[name] = true
		if len(examples[name]) == 0 || !strings.Contains(leaf.Detail, examples[name][0]) {
			t.Errorf("%s has no example in its help: %q", name, leaf.Detail)
		}
		for _, line := range examples[name] {
			_, line, _ = strings.Cut(line, "steplm ")
			parsed, err := New(t.Context()).Parse(words(line))
			if err == nil {
				err = flags.CheckRanges(parsed)
			}
			if err != nil || !strings.HasPrefix(parsed.Command(), name) {
				t.Errorf("the example of %s: steplm %s: %v", name, line, err)
			}
		}
	}
	for name := range examples {
		if !known[name] {
			t.Errorf("there are examples of %s, which is no command", name)
		}
	}
}

// Every range is one, and of numbers.
func TestRangesAreRanges(t *testing.T) {
	n := 0
	err := kong.Visit(New(t.Context()).Model, func(node kong.Visitable, next kong.Next) error {
		if f, ok := node.(*kong.Flag); ok && f.Tag.Get("range") != "" {
			n++
			if !regexp.MustCompile(`^[0-9e]+<?\.\.[0-9e]*$`).MatchString(f.Tag.Get("range")) {
				t.Errorf("--%s has the range %q", f.Name, f.Tag.Get("range"))
			}
		}
		return next(nil)
	})
	if err != nil || n < 40 {
		t.Errorf("%d ranges, %v", n, err)
	}
}

func TestVersionAndHelp(t *testing.T) {
	if out := clitest.Succeed(t, "", "--version"); !strings.HasPrefix(out, "steplm") || !strings.Contains(out, "go1.") {
		t.Errorf("--version says %q", out)
	}
	if a, b := clitest.Succeed(t, "", "help", "data", "tokenize"), clitest.Succeed(t, "", "data", "tokenize",
		"--help"); a != b {
		t.Errorf("help says %q, --help %q", a, b)
	}
	if out := clitest.Succeed(t, "", "help"); !strings.Contains(out, "completion") {
		t.Errorf("help says %q", out)
	}
	clitest.Fail(t, 2, []string{"paln"}, "help", "paln")
}

// A shell is answered with commands, flags and values.
func TestCompletion(t *testing.T) {
	for line, want := range map[string][]string{
		"steplm pre": {"pretrain"}, "steplm pretrain --memory-l": {"--memory-limit"}, "steplm data ": {"fetch", "inspect",
			"tokenize"}, "steplm pretrain --precision ": {"bf16", "f32"},
	} {
		c := clitest.CallOf(t.Context())
		c.Env = append(c.Env, "COMP_LINE="+line)
		out, stderr, code := clitest.Finish(t, c, "")
		for _, word := range want {
			if code != 0 || !strings.Contains("\n"+out, "\n"+word+"\n") {
				t.Errorf("%q is completed by %q %s, not by %s", line, out, stderr, word)
			}
		}
	}
	if out := clitest.Succeed(t, "", "completion", "--code", "bash"); !strings.Contains(out, "complete -") {
		t.Errorf("got %q", out)
	}
}

// Numbers outside their ranges end every command alike, before anything is done.
func TestRefusesNumbers(t *testing.T) {
	for _, c := range []struct{ command, flag, value, why string }{
		{"pretrain", "--lr", "1e30", "at most 100"}, {"pretrain", "--lr", "-1", "above 0"},
		{"pretrain", "--steps", "1e15", "at most 1000000000"}, {"pretrain", "--grow-at", "2", "at most 1"},
		{"pretrain", "--warmup", "-1", "0 or more"}, {"pretrain", "--beta1", "-0.5", "0 or more"},
		{"plan", "--seq-len", "-5", "1 or more"}, {"plan", "--batch-size", "0", "1 or more"},
		{"plan", "--rank", "0", "1 or more"}, {"bench step", "--layers", "-2", "1 or more"},
	} {
		args := append(strings.Fields(c.command), c.flag, c.value)
		clitest.Fail(t, 2, []string{c.flag, c.why, "run `steplm " + c.command + " --help`"}, args...)
	}
	if help := clitest.Succeed(t, "", "pretrain", "--help"); strings.Contains(help, "-1:") {
		t.Errorf("the help speaks of -1:\n%s", help)
	}
}
