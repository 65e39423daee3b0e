package prose

import (
	"fmt"
	"strings"
)

// writer turns templates into sentences. In a template
//
//	{name}   is a variable, {^name} the same with a capital letter,
//	[a|b|c]  is one of the alternatives, which may nest and may be empty,
//
// and "a" becomes "an" where the next word wants it. A mistake in a template
// sticks in err, so that a document reads as text and not as error handling.
type writer struct {
	r    *random
	vars map[string]string
	err  error
}

func newWriter(r *random) *writer { return &writer{r: r, vars: map[string]string{}} }

// set binds variables, given as name, value, name, value.
func (w *writer) set(pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		w.vars[pairs[i]] = pairs[i+1]
	}
}

// say expands templates and joins them to one paragraph.
func (w *writer) say(templates ...string) string {
	parts := make([]string, 0, len(templates))
	for _, t := range templates {
		if s := strings.TrimSpace(w.expand(t)); s != "" {
			parts = append(parts, s)
		}
	}
	return articles(strings.Join(parts, " "))
}

func (w *writer) expand(t string) string {
	var out strings.Builder
	for len(t) > 0 {
		i := strings.IndexAny(t, "{[")
		if i < 0 {
			out.WriteString(t)
			break
		}
		out.WriteString(t[:i])
		inner, rest, ok := bracket(t[i:])
		if !ok {
			w.fail("template %q has no closing bracket", t)
			break
		}
		if t[i] == '{' {
			out.WriteString(w.variable(inner))
		} else {
			out.WriteString(w.expand(pick(w.r, alternatives(inner))))
		}
		t = rest
	}
	return out.String()
}

func (w *writer) variable(name string) string {
	bare := strings.TrimPrefix(name, "^")
	value, ok := w.vars[bare]
	if !ok {
		w.fail("no variable %q", bare)
	}
	if bare != name {
		return capital(value)
	}
	return value
}

func (w *writer) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("prose: "+format, args...)
	}
}

// bracket splits a text that starts with a bracket into what is inside and
// what follows.
func bracket(t string) (inner, rest string, ok bool) {
	depth := 0
	for i, c := range t {
		switch c {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return t[1:i], t[i+1:], true
			}
		}
	}
	return "", "", false
}

// alternatives splits at the bars outside of inner brackets.
func alternatives(t string) []string {
	var out []string
	depth, start := 0, 0
	for i, c := range t {
		switch c {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '|':
			if depth == 0 {
				out = append(out, t[start:i])
				start = i + 1
			}
		}
	}
	return append(out, t[start:])
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// articles writes "an" before a vowel's sound; the words of this corpus need
// no more than a short list of exceptions.
func articles(s string) string {
	words := strings.Split(s, " ")
	for i := 0; i+1 < len(words); i++ {
		bare := strings.TrimLeft(words[i], "\"(")
		if (bare == "a" || bare == "A") && vowelSound(words[i+1]) {
			words[i] += "n"
		}
	}
	return strings.Join(words, " ")
}

func vowelSound(word string) bool {
	word = strings.ToLower(strings.TrimLeft(word, "\"("))
	for _, p := range []string{"one", "once", "use", "uni"} {
		if strings.HasPrefix(word, p) {
			return false
		}
	}
	for _, p := range []string{"hour", "honest", "8", "11 ", "18 ", "80"} {
		if strings.HasPrefix(word+" ", p) {
			return true
		}
	}
	return word != "" && strings.ContainsRune("aeiou", rune(word[0]))
}

// list writes "x", "x and y" or "x, y and z".
func list(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	return strings.Join(items[:len(items)-1], ", ") + " and " + items[len(items)-1]
}
