package eval

import (
	"regexp"
	"strings"
)

// WikiText puts spaces around most punctuation. What follows takes them away
// as lm-evaluation-harness does (task wikitext, its function
// wikitext_detokenizer), replacement by replacement and oddity by oddity: the
// order matters, some of it looks like a mistake, and a number made any other
// way would not be comparable.

// space is Python's \s inside a class; Go's \s is ASCII only.
const space = `[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*`

var (
	// Meant for an apostrophe before digits, but the slashes are part of the
	// pattern, and the replacement is the literal text of a pattern.
	slashed = regexp.MustCompile(`/' [0-9]/`)

	// A pair of brackets or quotation marks loses the white space inside it.
	// Quotation marks do not know left from right: the first pairs with the
	// second whatever they are, apostrophes included.
	pairs = []struct {
		pattern *regexp.Regexp
		with    string
	}{
		{regexp.MustCompile(`\(` + space + `([^)]*?)` + space + `\)`), "(${1})"},
		{regexp.MustCompile(`\[` + space + `([^\]]*?)` + space + `\]`), "[${1}]"},
		{regexp.MustCompile(`\{` + space + `([^}]*?)` + space + `\}`), "{${1}}"},
		{regexp.MustCompile(`"` + space + `([^"]*?)` + space + `"`), `"${1}"`},
		{regexp.MustCompile(`'` + space + `([^']*?)` + space + `'`), `'${1}'`},
	}

	// The plain replacements before and after, each one a pass over the text.
	before = [][2]string{
		{" @-@ ", "-"}, {" @,@ ", ","}, {" @.@ ", "."}, // inside numbers and compounds
		{" : ", ": "}, {" ; ", "; "}, {" . ", ". "}, {" ! ", "! "}, {" ? ", "? "}, {" , ", ", "},
	}
	after = [][2]string{
		{"= = = =", "===="}, {"= = =", "==="}, {"= =", "=="}, // section titles
		{" \u00b0 ", "\u00b0"}, // degrees
		{" \n", "\n"}, {"\n ", "\n"},
		{" N ", " 1 "}, // the number sign of the Penn Treebank
		{" 's", "'s"},
	}
)

// Detokenize gives a page of WikiText the spacing of ordinary text.
func Detokenize(page string) string {
	s := strings.ReplaceAll(page, "s '", "s'")
	s = slashed.ReplaceAllLiteralString(s, "/'[0-9]/")
	for _, r := range before {
		s = strings.ReplaceAll(s, r[0], r[1])
	}
	for _, p := range pairs {
		s = p.pattern.ReplaceAllString(s, p.with)
	}
	for _, r := range after {
		s = strings.ReplaceAll(s, r[0], r[1])
	}
	return s
}
