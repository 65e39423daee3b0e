package model

import (
	"fmt"
	"strings"
)

// preset sizes and their sources. The baselines' papers leave the context
// length open: 2048 is LLaMA's, and a bound only (rotary embeddings have no
// parameters).
var presets = []struct {
	name   string
	config Config
}{
	// The demo's: two stages of it train in minutes on two cores.
	{"tiny", Config{Hidden: 96, FFN: 256, Layers: 6, Heads: 4, KVHeads: 2, Vocab: 1024, MaxSeqLen: 256, NormEps: 1e-5,
		RopeTheta: 10000, Tied: true}},
	// karpathy/llama2.c's stories15M.
	{"15m", Config{Hidden: 288, FFN: 768, Layers: 6, Heads: 6, KVHeads: 6, Vocab: 32000, MaxSeqLen: 256, NormEps: 1e-5,
		RopeTheta: 10000, Tied: true}},
	// The shapes of the ReLoRA and GaLore papers; 368m is their "350m".
	{"60m", baseline(512, 1376, 8, 8)},
	{"130m", baseline(768, 2048, 12, 12)},
	{"368m", baseline(1024, 2736, 24, 16)},
	// STEP's sizes; the shapes are derived, not given. Both count blocks only.
	{"680m", baseline(1536, 4096, 24, 24)},
	{"1.2b", baseline(2048, 5461, 24, 32)},
}

func baseline(hidden, ffn, layers, heads int) Config {
	return Config{Hidden: hidden, FFN: ffn, Layers: layers, Heads: heads, KVHeads: heads, Vocab: 32000, MaxSeqLen: 2048,
		NormEps: 1e-6, RopeTheta: 10000}
}

// Presets lists the names that Preset knows, smallest first.
func Presets() []string {
	var names []string
	for _, p := range presets {
		names = append(names, p.name)
	}
	return names
}

// Preset finds a configuration by name, in upper or lower case. The error for
// an unknown one suggests the nearest names and lists all.
func Preset(name string) (Config, error) {
	lower := strings.ToLower(name)
	for _, p := range presets {
		if p.name == lower {
			return p.config, nil
		}
	}
	hint := ""
	if near := Nearest(lower, Presets()); len(near) > 0 {
		hint = fmt.Sprintf(" (did you mean %s?)", strings.Join(near, " or "))
	}
	return Config{}, fmt.Errorf("unknown model preset %q%s: the presets are %s", name, hint,
		strings.Join(Presets(), ", "))
}

// Nearest are the names that a misspelled one is likely to stand for, none if all are other words.
func Nearest(name string, names []string) (near []string) {
	nearest := 3 // further away is another word
	for _, known := range names {
		switch d := editDistance(name, known); {
		case d < nearest:
			near, nearest = []string{known}, d
		case d == nearest && d < 3:
			near = append(near, known)
		}
	}
	return near
}

// editDistance is Levenshtein's: insertions, deletions, substitutions.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
