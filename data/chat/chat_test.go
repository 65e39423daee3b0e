package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"steplm/data/datatest"
)

var day = func() time.Time { return time.Date(2026, 11, 27, 9, 5, 0, 0, time.UTC) }

// Templates as well-known families publish them render as jinja2 renders them, or refuse what it refuses.
func TestTemplatesOfJinja2(t *testing.T) {
	var golden struct {
		Special       map[string]string
		Conversations [][]Message
		Templates     []struct {
			Name, Source string
			Cases        []struct {
				Conversation int
				More         bool
				Text, Error  string
			}
		}
	}
	text, err := os.ReadFile("testdata/templates.json")
	if err == nil {
		err = json.Unmarshal(text, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, x := range golden.Templates {
		template, err := Parse(x.Source, golden.Special, day)
		if err != nil {
			t.Errorf("%s: %v", x.Name, err)
			continue
		}
		for _, c := range x.Cases {
			compared++
			got, err := template.Render(golden.Conversations[c.Conversation], c.More)
			switch {
			case c.Error != "" && (err == nil || !strings.Contains(err.Error(), c.Error)):
				t.Errorf("%s, conversation %d: %q, %v, want the error %q", x.Name, c.Conversation, got, err, c.Error)
			case c.Error == "" && (err != nil || got != c.Text):
				t.Errorf("%s, conversation %d, more %t: %v\n%q, want\n%q", x.Name, c.Conversation, c.More, err, got,
					c.Text)
			}
		}
	}
	if compared < 100 {
		t.Errorf("%d texts were compared", compared)
	}
}

// Templates that read files, or take more than there is, are refused in one line.
func TestTemplatesAreBounded(t *testing.T) {
	one := []Message{{User, strings.Repeat("x", 1000)}}
	deep := strings.Repeat("{% for a in range(100) %}", 9) + "x" + strings.Repeat("{% endfor %}", 9)
	for _, c := range []struct{ name, source, part string }{
		{"a file", `{% include "/etc/passwd" %}`, "may not read files"},
		{"a module", `{% import "/etc/passwd" as x %}`, "may not read files"},
		{"a part of a module", `{% from "x" import y %}`, "may not read files"},
		{"a parent", `{% extends "x" %}`, "may not read files"},
		{"a long loop", `{% for i in range(1000000000) %}{% endfor %}`, "loops more than"},
		{"loops in loops", deep, "loops more than"},
		{"endless calls", `{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}`, "calls macros more than"},
		{"calls that double",
			`{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}`,
			"calls macros more than"},
		{"a repeated text", `{{ "a" * 1000000000 }}`, "without bound"},
		{"a power", `{{ 2 ** 1000000000 }}`, "without bound"},
		{"a text that doubles", `{% set ns = namespace(x='ab') %}{% for i in range(64) %}{% set ns.x = ns.x ~ ns.x %}` +
			`{% endfor %}`, "bytes"},
		{"much text", `{% for i in range(90000) %}{{ messages[0].content }}{% endfor %}`, "bytes of text"},
		{"a wide text", `{{ "a" | center(1000000000) }}`, "center"},
		{"chance", `{{ [1, 2] | random }}`, "random"},
		{"no end", `{% for m in messages %}`, "chat template"},
		{"nonsense", `{{ 1 + }}`, "chat template"},
		{"its own refusal", `{{ raise_exception('no') }}`, "it refuses the conversation: no"},
		{"a division by none", `{{ 1 % 0 }}`, "chat template"},
		{"a long one", strings.Repeat("x", mostSource+1), "bytes"},
	} {
		start := time.Now()
		template, err := Parse(c.source, nil, day)
		text := ""
		if err == nil {
			text, err = template.Render(one, true)
		}
		if err == nil || !strings.Contains(err.Error(), c.part) || len(err.Error()) > 400 ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %.80q, %v, want an error with %q", c.name, text, err, c.part)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s takes %s", c.name, took)
		}
	}
}

func TestConversationsAreRefused(t *testing.T) {
	template, err := Parse("x", nil, day)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []Format{template, Alpaca{}} {
		for _, messages := range [][]Message{nil, {{"", "x"}}} {
			if text, err := f.Render(messages, true); err == nil {
				t.Errorf("%T of %v: %q", f, messages, text)
			}
		}
	}
}

// The prompts are those of instruction tuning's golden.
func TestAlpaca(t *testing.T) {
	var golden struct {
		Input    string `json:"prompt_input"`
		NoInput  string `json:"prompt_no_input"`
		Examples []struct{ Instruction, Input, Prompt string }
	}
	text, err := os.ReadFile(datatest.Path(t, "golden_sft/losses.json"))
	if err == nil {
		err = json.Unmarshal(text, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := (Alpaca{}).Prompt("{instruction}", "{input}"); got != golden.Input {
		t.Errorf("%q, want %q", got, golden.Input)
	}
	if got := (Alpaca{}).Prompt("{instruction}", ""); got != golden.NoInput {
		t.Errorf("%q, want %q", got, golden.NoInput)
	}
	withInput := 0
	for _, x := range golden.Examples {
		if got := (Alpaca{}).Prompt(x.Instruction, x.Input); got != x.Prompt {
			t.Errorf("%q, want %q", got, x.Prompt)
		}
		if x.Input != "" {
			withInput++
			continue
		}
		if got, err := (Alpaca{}).Render([]Message{{User, x.Instruction}}, true); err != nil || got != x.Prompt {
			t.Errorf("%q, %v, want %q", got, err, x.Prompt)
		}
	}
	if withInput < 5 || len(golden.Examples)-withInput < 5 {
		t.Errorf("%d prompts were compared, %d of them with an input", len(golden.Examples), withInput)
	}
	got, err := Alpaca{}.Render([]Message{{System, "S."}, {User, "a"}, {Assistant, "b"}, {User, "c"}}, true)
	if want := "S.\n\n### Instruction:\na\n\n### Response:b\n\n### Instruction:\nc\n\n### Response:"; got != want ||
		err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, messages := range [][]Message{{{Assistant, "a"}}, {{User, "a"}, {User, "b"}},
		{{User, "a"}, {Assistant, "b"}}} {
		if text, err := (Alpaca{}).Render(messages, true); err == nil {
			t.Errorf("%v: %q", messages, text)
		}
	}
}

// A folder's template: the file wins, of several the default one counts, special tokens have two spellings.
func TestFind(t *testing.T) {
	const config = `{"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": %s}`
	for _, c := range []struct{ name, jinja, config, want, err string }{
		{"none", "", `{}`, "", ErrNone.Error()},
		{"nothing", "", "", "", ErrNone.Error()},
		{"null", "", fmt.Sprintf(config, "null"), "", ErrNone.Error()},
		{"in the configuration", "", fmt.Sprintf(config, `"a{{ bos_token }}{{ eos_token }}"`), "a<s></s>", ""},
		{"the file wins", "b{{ bos_token }}\n", fmt.Sprintf(config, `"a"`), "b<s>", ""},
		{"several", "", fmt.Sprintf(config, `[{"name": "x", "template": "x"}, {"name": "default", "template": "d"}]`),
			"d", ""},
		{"none is the default", "", fmt.Sprintf(config, `[{"name": "x", "template": "x"}]`), "", "named default"},
		{"a number", "", fmt.Sprintf(config, "7"), "", "no text"},
		{"no JSON", "", "{", "", "tokenizer_config.json"},
		{"a bad template", "{% nonsense %}", "", "", "chat_template.jinja"},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"chat_template.jinja": c.jinja, "tokenizer_config.json": c.config} {
			if text != "" {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		template, err := Find(dir, day)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) ||
				errors.Is(err, ErrNone) != (c.err == ErrNone.Error()) {
				t.Errorf("%s: %v, want %q", c.name, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got, err := template.Render([]Message{{User, "x"}}, true); got != c.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

// What stands in {% generation %} is told where it stands, as jinja2 has it.
func TestGenerated(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "generation.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name, Source, Text string
		Messages           []Message
		Spans              [][2]int
	}
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) == 0 {
		t.Fatal(err)
	}
	for _, c := range cases {
		template, err := Parse(c.Source, nil, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		got, spans, err := template.Generated(c.Messages)
		want := []Span(nil)
		for _, s := range c.Spans {
			want = append(want, Span{s[0], s[1]})
		}
		if err != nil || !template.Marks() || got != c.Text || !slices.Equal(spans, want) {
			t.Errorf("%s: %q %v, want %q %v (%v)", c.Name, got, spans, c.Text, want, err)
		}
	}
	for _, source := range []string{
		"{% macro m() %}{% generation %}x{% endgeneration %}{% endmacro %}a{{ m() }}",
		"{% set x %}{% generation %}x{% endgeneration %}{% endset %}a{{ x }}",
	} {
		template, err := Parse(source, nil, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		talk := []Message{{User, "a"}}
		if text, err := template.Render(talk, false); err != nil || text != "ax" {
			t.Errorf("%s: %q, %v", source, text, err)
		}
		if _, _, err := template.Generated(talk); err == nil || !strings.Contains(err.Error(), "inside a macro") {
			t.Errorf("%s: %v", source, err)
		}
	}
	plain, err := Parse("{# {% generation %} #}{{ 'generation' }}", nil, time.Now)
	if err != nil || plain.Marks() {
		t.Errorf("a template marks what it does not: %v", err)
	}
}
