package decode

import "strings"

// WordPiece puts a space before every token that begins a word: all but those with the prefix, which is taken away.
type WordPiece struct {
	Type    string `json:"type"`
	Prefix  string `json:"prefix"`
	Cleanup bool   `json:"cleanup"` // no space before punctuation and contractions
}

// Part is the decoder.
func (w *WordPiece) Part() Decoder { return w }

// Check finds nothing to refuse.
func (w *WordPiece) Check() error { return nil }

// cleanups are replaced one after the other.
var cleanups = [][2]string{{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"},
	{" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}}

// Decode decodes tokens.
func (w *WordPiece) Decode(tokens []string) ([]string, error) {
	for i, t := range tokens {
		if i > 0 {
			if rest, ok := strings.CutPrefix(t, w.Prefix); ok {
				t = rest
			} else {
				t = " " + t
			}
		}
		if w.Cleanup {
			for _, c := range cleanups {
				t = strings.ReplaceAll(t, c[0], c[1])
			}
		}
		tokens[i] = t
	}
	return tokens, nil
}

// BPE turns the suffix that ends words into a space, but for the last token's.
type BPE struct {
	Type   string `json:"type"`
	Suffix string `json:"suffix"`
}

// Part is the decoder.
func (b *BPE) Part() Decoder { return b }

// Check finds nothing to refuse.
func (b *BPE) Check() error { return nil }

// Decode decodes tokens.
func (b *BPE) Decode(tokens []string) ([]string, error) {
	for i, t := range tokens {
		space := " "
		if i == len(tokens)-1 {
			space = ""
		}
		tokens[i] = strings.ReplaceAll(t, b.Suffix, space)
	}
	return tokens, nil
}
