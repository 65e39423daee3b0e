package speak

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data/chat"
	"steplm/data/datatest"
	"steplm/data/tokenizer"
)

// Answers are what generate makes of the rendered conversation, the answers before included; /reset forgets them.
func TestChatStories260K(t *testing.T) {
	dir, tok := datatest.Path(t, "models/stories260K"), datatest.Path(t, "generate/tokenizer")
	const source = "{{ bos_token }}{% for m in messages %}{{ m.content | trim }} {% endfor %}"
	words, err := tokenizer.Load(tok)
	if err != nil {
		t.Fatal(err)
	}
	template, err := chat.Parse(source, map[string]string{"bos_token": "<s>"}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	base := []string{"--model", dir, "--tokenizer", tok, "--device", "host", "--temperature", "0", "--max-tokens", "9"}
	var messages []chat.Message
	want := ""
	for _, line := range []string{"Once upon a time", "Lily said", "/reset", "The big\nred ball"} {
		if line == "/reset" {
			messages = nil
			continue
		}
		messages = append(messages, chat.Message{Role: chat.User, Content: line})
		text, err := template.Render(messages, true)
		if err != nil {
			t.Fatal(err)
		}
		ids, err := words.Encode(text)
		if err != nil || ids[0] != 1 || slices.Contains(ids[1:], 1) {
			t.Fatalf("%q is %v, %v: one token begins it", text, ids, err)
		}
		answer := speak(t, "", append(base, "--ids", clitest.Commas(ids))...).Text
		messages = append(messages, chat.Message{Role: chat.Assistant, Content: strings.TrimSpace(answer)})
		want += answer + "\n"
	}
	file := clitest.WriteFile(t, "chat_template.jinja", source+"\n")
	got := clitest.Succeed(t, "Once upon a time\n\nLily said\n/reset\nThe big\\\nred ball\n/exit\nnothing\n",
		append([]string{"chat", "--template", file}, base...)...)
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// A model without a template takes Alpaca's prompt and says so; a message that does not fit is told, and the
// conversation goes on.
func TestChatAlpaca(t *testing.T) {
	dir := clitest.RandomModel(t, 280)
	args := []string{"chat", "--model", dir, "--device", "host", "--max-tokens", "3"}
	out, stderr, code := clitest.Call(t, "hello\n", args...)
	if code != 0 || out != "" || !strings.Contains(stderr, "no chat template: Alpaca's prompt is used") ||
		!strings.Contains(stderr, "at most 32 fit") {
		t.Errorf("exit code %d, %q, %q", code, out, stderr)
	}
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "tokenizer_config.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"chat_template": "{% for m in messages %}{{ m.role[0] }}{{ m.content }}{% endfor %}"}`)
	out, stderr, code = clitest.Call(t, "a\nb\n", append(args, "--system", "s")...)
	if code != 0 || out == "" || strings.Contains(stderr, "Alpaca") {
		t.Errorf("with a template: exit code %d, %q, %q", code, out, stderr)
	}
	// A last line that was to go on is a message all the same.
	if out = clitest.Succeed(t, `a\`, args...); strings.TrimSpace(out) == "" && !strings.HasSuffix(out, "\n") {
		t.Errorf("a last line that was to go on is answered by %q", out)
	}
	write(`{"chat_template": "{% include 'x' %}"}`)
	clitest.Fail(t, 1, []string{"tokenizer_config.json", "may not read files"}, args...)
	clitest.Fail(t, 1, []string{"missing.jinja"}, append(args, "--template", "missing.jinja")...)
	clitest.Fail(t, 2, []string{"--min-p 2"}, append(args, "--min-p", "2")...)
}

// A signal ends a conversation that waits for a message, and a prompt that waits for standard input.
func TestSignalWhileItReads(t *testing.T) {
	dir := clitest.RandomModel(t, 280)
	if err := os.WriteFile(filepath.Join(dir, "tokenizer_config.json"),
		[]byte(`{"chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"chat"}, {"generate", "--file", "-"}} {
		c := clitest.StartChild(t, clitest.CallOf(t.Context(), append(command, "--model", dir, "--device", "host",
			"--max-tokens", "3")...))
		if command[0] == "generate" {
			c.Say(strings.Repeat("The cat\n", 1<<16)) // more than a pipe holds, so that what was written was read
		} else { // It answers, and waits for the next message.
			c.Say("The cat\n")
			if _, err := c.Out.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		c.Interrupt(os.Interrupt)
		c.Fails(1, "interrupted")
	}
}

func TestHarmless(t *testing.T) {
	if got := harmless("a\x1b[2J"); got != "a\x1b[2J" { // standard output is no terminal here
		t.Errorf("%q", got)
	}
	if got := printable("a\x1b[2J\tb\nc\x07\u009b"); got != "a\uFFFD[2J\tb\nc\uFFFD\uFFFD" {
		t.Errorf("%q", got)
	}
}
