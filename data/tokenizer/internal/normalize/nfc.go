package normalize

import (
	"maps"
	"slices"
	"sync"
)

// Hangul syllables are composed by arithmetic (The Unicode Standard, section 3.12).
const (
	hangulS, hangulL, hangulV, hangulT = 0xAC00, 0x1100, 0x1161, 0x11A7
	countL, countV, countT             = 19, 21, 28
	countS                             = countL * countV * countT
)

type combiningRange struct {
	low, high rune
	class     uint8
}

// forms is the normalization tables in the shape that nfc and its kin ask for.
type forms struct {
	decompose map[rune][2]rune // the second is 0 for a singleton
	compose   map[[2]rune]rune
	combining map[rune]uint8  // canonical combining class; absent: 0
	unstable  map[rune]bool   // runes whose presence means that text may not be NFC
	wide      map[rune]string // of NFKC: whole decompositions that come first
}

// compatibility is a rune's whole decomposition.
type compatibility struct {
	rune  rune
	whole string
}

var loadNFKC = sync.OnceValue(func() *forms {
	d := *loadNFC()
	d.wide, d.unstable = make(map[rune]string, len(compatibilities)), maps.Clone(d.unstable)
	for _, c := range compatibilities {
		d.wide[c.rune], d.unstable[c.rune] = c.whole, true
	}
	return &d
})

var loadNFC = sync.OnceValue(func() *forms {
	d := &forms{
		decompose: make(map[rune][2]rune, len(decompositions)),
		compose:   make(map[[2]rune]rune, len(decompositions)),
		combining: map[rune]uint8{},
		unstable:  map[rune]bool{},
	}
	for _, entry := range decompositions {
		whole, parts := entry[0], [2]rune{entry[1], entry[2]}
		d.decompose[whole] = parts
		if parts[1] == 0 || slices.Contains(compositionExclusions[:], whole) {
			d.unstable[whole] = true
			continue
		}
		d.compose[parts] = whole
		d.unstable[parts[1]] = true
	}
	for _, r := range combiningRanges {
		for c := r.low; c <= r.high; c++ {
			d.combining[c] = r.class
			d.unstable[c] = true
		}
	}
	for v := rune(hangulV); v < hangulV+countV; v++ {
		d.unstable[v] = true
	}
	for t := rune(hangulT + 1); t < hangulT+countT; t++ {
		d.unstable[t] = true
	}
	return d
})

// nfc returns s in Unicode normalization form C (Unicode Standard Annex 15), by Unicode 9.0 as the reference library
// does it, and without the limit on marks that stream-safe implementations add.
func nfc(s string) string { return loadNFC().of(s) }

// nfkc is normalization form KC, likewise.
func nfkc(s string) string { return loadNFKC().of(s) }

// nfd and nfkd are the forms that are only decomposed.
func nfd(s string) string  { return string(loadNFC().decomposed(s)) }
func nfkd(s string) string { return string(loadNFKC().decomposed(s)) }

func (d *forms) of(s string) string {
	for _, r := range s {
		if r >= 0xA0 && d.unstable[r] {
			return string(d.composed(d.decomposed(s)))
		}
	}
	return s
}

func (d *forms) decomposed(s string) []rune {
	runes := make([]rune, 0, len(s))
	for _, r := range s {
		runes = d.appendDecomposed(runes, r)
	}
	d.order(runes)
	return runes
}

func (d *forms) appendDecomposed(out []rune, r rune) []rune {
	if s := r - hangulS; 0 <= s && s < countS {
		out = append(out, hangulL+s/(countV*countT), hangulV+s%(countV*countT)/countT)
		if t := s % countT; t != 0 {
			out = append(out, hangulT+t)
		}
		return out
	}
	if whole, ok := d.wide[r]; ok {
		return append(out, []rune(whole)...)
	}
	parts, ok := d.decompose[r]
	if !ok {
		return append(out, r)
	}
	out = d.appendDecomposed(out, parts[0])
	if parts[1] != 0 {
		out = d.appendDecomposed(out, parts[1])
	}
	return out
}

// order sorts every run of combining marks by class; equal classes keep their order.
func (d *forms) order(runes []rune) {
	for i := 0; i < len(runes); i++ {
		start := i
		for i < len(runes) && d.combining[runes[i]] != 0 {
			i++
		}
		if i-start > 1 {
			slices.SortStableFunc(runes[start:i], func(a, b rune) int {
				return int(d.combining[a]) - int(d.combining[b])
			})
		}
	}
}

// composed joins in place each rune with the last starter before it, unless a mark of the same or a higher class, or
// another starter, lies between.
func (d *forms) composed(runes []rune) []rune {
	out := runes[:0]
	starter, last := -1, -1 // position of the last starter in out; class of the last rune after it (-1: none)
	for _, r := range runes {
		ccc := int(d.combining[r])
		if starter >= 0 && last < ccc {
			if whole, ok := d.pair(out[starter], r); ok {
				out[starter] = whole
				continue
			}
		}
		if ccc == 0 {
			starter, last = len(out), -1
		} else {
			last = ccc
		}
		out = append(out, r)
	}
	return out
}

func (d *forms) pair(a, b rune) (rune, bool) {
	if l, v := a-hangulL, b-hangulV; 0 <= l && l < countL && 0 <= v && v < countV {
		return hangulS + (l*countV+v)*countT, true
	}
	if s, t := a-hangulS, b-hangulT; 0 <= s && s < countS && s%countT == 0 && 0 < t && t < countT {
		return a + t, true
	}
	whole, ok := d.compose[[2]rune{a, b}]
	return whole, ok
}
