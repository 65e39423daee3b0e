package runes

import (
	"strings"
	"sync"
)

// named is runes that a regular expression calls by one name.
type named struct {
	low, high rune
	name      string
}

// WordOfRegex is \w of regular expressions, which differs a little from Word.
var WordOfRegex = word

// longNames are general categories written out, by which some files call them.
var longNames = map[string]string{
	"letter": "l", "mark": "m", "number": "n", "punctuation": "p", "symbol": "s", "separator": "z", "other": "c",
	"uppercaseletter": "lu", "lowercaseletter": "ll", "titlecaseletter": "lt", "decimalnumber": "nd",
}

var loadProperties = sync.OnceValue(func() map[string]Set {
	ranges := map[string][]Range{}
	var assigned []Range
	for _, n := range categoryRanges {
		r := Range{n.low, n.high}
		name := strings.ToLower(n.name)
		ranges[name] = append(ranges[name], r)
		ranges[name[:1]] = append(ranges[name[:1]], r)
		assigned = append(assigned, r)
	}
	for _, n := range scriptRanges {
		name := plainName(n.name)
		ranges[name] = append(ranges[name], Range{n.low, n.high})
	}
	ranges["c"] = append(ranges["c"], Normal(assigned).Not()...) // unassigned runes and surrogates
	sets := make(map[string]Set, len(ranges))
	for name, r := range ranges {
		sets[name] = Normal(r)
	}
	for long, short := range longNames {
		sets[long] = sets[short]
	}
	sets["any"] = Set{}.Not()
	return sets
})

func plainName(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", " ", "", "-", "").Replace(name))
}

// Property is the runes of a general category or a script, as \p{name} of a regular expression has them: Unicode 16.0.
func Property(name string) (Set, bool) {
	s, ok := loadProperties()[plainName(name)]
	return s, ok
}

// lowerRange is every step-th rune from low to high; its lower case is the rune plus delta.
type lowerRange struct {
	low, high, step, delta rune
}

var loadLower = sync.OnceValue(func() map[rune]rune {
	lower := map[rune]rune{}
	for _, l := range lowerRanges {
		for r := l.low; r <= l.high; r += l.step {
			lower[r] = r + l.delta
		}
	}
	return lower
})

// Lower is text with every rune in lower case, whatever stands around it.
func Lower(text string) string {
	var lower map[rune]rune
	var b strings.Builder
	from := 0
	for i, r := range text {
		to, n := "", 0
		switch {
		case r < 0x80:
			if r < 'A' || r > 'Z' {
				continue
			}
			to, n = string(r+'a'-'A'), 1
		case r == 0x130:
			to, n = "i\u0307", 2
		default:
			if lower == nil {
				lower = loadLower()
			}
			l, ok := lower[r]
			if !ok {
				continue
			}
			to, n = string(l), len(string(r))
		}
		b.WriteString(text[from:i])
		b.WriteString(to)
		from = i + n
	}
	if from == 0 {
		return text
	}
	b.WriteString(text[from:])
	return b.String()
}

// scriptRange is runes of one script of the pre-tokenizer UnicodeScripts; its numbers mean nothing else.
type scriptRange struct {
	low, high rune
	script    uint8
}

var loadScripts = sync.OnceValue(func() map[rune]uint8 {
	scripts := map[rune]uint8{}
	for _, s := range preTokenizerScripts {
		for r := s.low; r <= s.high; r++ {
			scripts[r] = s.script
		}
	}
	return scripts
})

// Script is the number of a rune's script in the pre-tokenizer UnicodeScripts, or 0, which goes with any script.
func Script(r rune) uint8 { return loadScripts()[r] }
