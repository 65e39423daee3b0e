package prose

import (
	"strings"
	"testing"
)

func TestSay(t *testing.T) {
	w := newWriter(newRandom(1, 1))
	w.set("x", "owl", "y", "fox", "n", "8")
	cases := []struct{ template, want string }{
		{"plain", "plain"},
		{"the {x}", "the owl"},
		{"{^x}s fly", "Owls fly"},
		{"a {x} and a {y}", "an owl and a fox"},
		{"A {x}, a {n} and a one", "An owl, an 8 and a one"},
		{"\"A {x},\" she said, after a hour in a uniform", "\"An owl,\" she said, after an hour in a uniform"},
		{"[same|same] [|]end", "same end"},
		{"[[in|in]ner {x}]", "inner owl"},
	}
	for _, c := range cases {
		if got := w.say(c.template); got != c.want {
			t.Errorf("%q: got %q, want %q", c.template, got, c.want)
		}
	}
	if got := w.say("One.", "[|]", "Two."); got != "One. Two." {
		t.Errorf("an empty sentence left a trace: %q", got)
	}
	if w.err != nil {
		t.Error(w.err)
	}
}

func TestSayDrawsEveryAlternative(t *testing.T) {
	w := newWriter(newRandom(1, 1))
	seen := map[string]bool{}
	for range 200 {
		seen[w.say("[a|b|[c|d]]")] = true
	}
	if len(seen) != 4 {
		t.Errorf("drew %v, want a, b, c and d", seen)
	}
}

func TestTemplateErrorsStick(t *testing.T) {
	for template, want := range map[string]string{"the {nobody}": `"nobody"`, "a [b|c": "closing bracket"} {
		w := newWriter(newRandom(1, 1))
		w.say(template)
		w.say("fine")
		if w.err == nil || !strings.Contains(w.err.Error(), want) {
			t.Errorf("%q: error %v, want one with %s", template, w.err, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for n, want := range map[int]string{0: "zero", 13: "thirteen", 20: "twenty", 47: "forty-seven", 99: "ninety-nine", 100: "100"} {
		if got := number(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestList(t *testing.T) {
	for want, items := range map[string][]string{"": nil, "a": {"a"}, "a and b": {"a", "b"}, "a, b and c": {"a", "b", "c"}} {
		if got := list(items); got != want {
			t.Errorf("%v: got %q, want %q", items, got, want)
		}
	}
}
