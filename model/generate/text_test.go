package generate

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"steplm/data/datatest"
	"steplm/data/tokenizer"
)

// bytewise is a decoder whose ids are bytes: what is no character becomes U+FFFD. Id 256 is an error, and the last.
type bytewise struct{}

func (bytewise) VocabSize() int { return 257 }

func (bytewise) Decode(ids []uint32) (string, error) {
	var b []byte
	for _, id := range ids {
		if id > 255 {
			return "", errors.New("no such id")
		}
		b = append(b, byte(id))
	}
	return strings.ToValidUTF8(string(b), "\uFFFD"), nil
}

// pieces are what a Text gives, token by token, and what is left at the end.
func pieces(t *testing.T, x *Text, ids []uint32) (list []string, stopped bool) {
	t.Helper()
	for _, id := range ids {
		piece, stop, err := x.Add(id)
		if err != nil {
			t.Fatal(err)
		}
		if piece != "" {
			list = append(list, piece)
		}
		stopped = stopped || stop
	}
	rest, err := x.Rest()
	if err != nil {
		t.Fatal(err)
	}
	if rest != "" {
		list = append(list, rest)
	}
	return list, stopped
}

func bytesOf(text string) (ids []uint32) {
	for _, b := range []byte(text) {
		ids = append(ids, uint32(b))
	}
	return ids
}

func TestTextPieces(t *testing.T) {
	for _, c := range []struct {
		name, prompt, text string
		stops              []string
		want               string // pieces, parted by |
		stopped            bool
	}{
		{"characters are whole", "a", "né€😀!", nil, "n|é|€|😀|!", false},
		{"the prompt ends inside one", "a\xe2", "\x82\xacb", nil, "€|b", false},
		{"what is none ends the text", "a", "b\xe2\x82", nil, "b|\uFFFD", false},
		{"what is none, and goes on", "", "\xffab", nil, "\uFFFDa|b", false},
		{"a real U+FFFD", "", "a\uFFFDb", nil, "a|\uFFFDb", false},
		{"a stop", "", "one. two", []string{". "}, "o|n|e", true},
		{"the first of two", "", "abcdef", []string{"de", "bc"}, "a", true},
		{"the beginning of one", "", "aXYb XYZc", []string{"XYZ"}, "a|XYb| ", true},
		{"one that repeats itself", "", "aaab.", []string{"aab"}, "a", true},
		{"held at the end", "", "abX", []string{"XYZ"}, "a|b|X", false},
		{"one of many bytes", "", "a€b", []string{"€"}, "a", true},
		{"the second half of one", "", "né!", []string{"é!"}, "n", true},
		{"none", "", "ab", []string{""}, "a|b", false},
	} {
		x := NewText(bytewise{}, bytesOf(c.prompt), c.stops)
		list, stopped := pieces(t, x, bytesOf(c.text))
		if got := strings.Join(list, "|"); got != c.want || stopped != c.stopped {
			t.Errorf("%s: %q, stopped %t, want %q, %t", c.name, got, stopped, c.want, c.stopped)
		}
		for _, piece := range list {
			if !utf8.ValidString(piece) {
				t.Errorf("%s: the piece %q is cut inside a character", c.name, piece)
			}
		}
		if piece, stop, _ := x.Add('z'); c.stopped && (piece != "" || !stop) {
			t.Errorf("%s: after the stop comes %q", c.name, piece)
		}
	}
	if _, _, err := NewText(bytewise{}, nil, nil).Add(256); err == nil {
		t.Error("an id without text is taken")
	}
	// A model's vocabulary may be larger than the decoder's: what is beyond it has no text, in the prompt or after it.
	list, _ := pieces(t, NewText(bytewise{}, []uint32{'a', 0xe2, 300}, nil),
		[]uint32{257, 0x82, 300, 0xac, 1 << 31, 'b'})
	if got := strings.Join(list, "|"); got != "€|b" {
		t.Errorf("ids beyond the decoder's among others: %q", got)
	}
}

// What never becomes a character does not hold back the text for ever, and is not told twice.
func TestTextOfNoCharacters(t *testing.T) {
	text := strings.Repeat("\xff", 40) + "abc"
	list, _ := pieces(t, NewText(bytewise{}, nil, nil), bytesOf(text))
	whole, _ := bytewise{}.Decode(bytesOf(text))
	if got := strings.Join(list, ""); len(list) < 4 || got != whole {
		t.Errorf("%d pieces, %q, want %q", len(list), got, whole)
	}
}

// Pieces make up what the whole text is behind its prompt: the words of SentencePiece keep their spaces.
func TestTextOfTransformers(t *testing.T) {
	tok, err := tokenizer.Load(datatest.Path(t, "generate/tokenizer"))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range goldenTexts(t) {
		list, _ := pieces(t, NewText(tok, x.PromptIDs[1:], nil), x.NewIDs)
		if got := x.Prompt + strings.Join(list, ""); got != x.Text {
			t.Errorf("%q is continued to %q, want %q", x.Prompt, got, x.Text)
		}
	}
}
