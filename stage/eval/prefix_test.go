package eval

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"steplm/data"
	"steplm/data/datatest"
	tokenizers "steplm/data/tokenizer"
)

// A page's first window begins as in lm-evaluation-harness, with a tokenizer that has a beginning token and one that
// has none, and its windows are the harness's own.
func TestWikiTextPrefixGolden(t *testing.T) {
	pages := map[string]string{}
	for page, err := range Pages(textFile(datatest.Path(t, "wikitext/wiki.test.raw"))) {
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(page))
		pages[hex.EncodeToString(sum[:])] = page
	}
	for name, path := range map[string]string{
		"gpt2tok_tiny": "tokenizers/gpt2", "stories260K": "golden_tasks/stories260K_tokenizer/tokenizer.json",
	} {
		content, err := os.ReadFile(datatest.Path(t, "golden_tasks/wikitext."+name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var golden struct {
			MaxLength int    `json:"max_length"`
			Prefix    uint32 `json:"prefix_token_id"`
			Docs      []struct {
				Page    string   `json:"page_sha256"`
				Tokens  int      `json:"tokens"`
				First   []uint32 `json:"first_ids"`
				Windows [][2]int `json:"windows"`
			} `json:"docs"`
		}
		if err := json.Unmarshal(content, &golden); err != nil {
			t.Fatal(err)
		}
		tok, err := tokenizers.Load(datatest.Path(t, path))
		if err != nil {
			t.Fatal(err)
		}
		endOfText, err := data.Separator(tok)
		if err != nil {
			t.Fatal(err)
		}
		begins := PrefixOf(tok, endOfText)
		if begins.ID != golden.Prefix || len(golden.Docs) == 0 {
			t.Errorf("%s: the prefix is %d, want %d; %d pages", name, begins.ID, golden.Prefix, len(golden.Docs))
		}
		for i, doc := range golden.Docs {
			page, ok := pages[doc.Page]
			if !ok {
				t.Fatalf("%s: page %d is not there", name, i)
			}
			ids, err := begins.Encode(Detokenize(page))
			if err != nil {
				t.Fatal(err)
			}
			if len(ids) != doc.Tokens || !slices.Equal(ids[:len(doc.First)], doc.First) {
				t.Errorf("%s, page %d: %d ids that begin with %v, want %d with %v", name, i, len(ids),
					ids[:len(doc.First)], doc.Tokens, doc.First)
			}
			var windows [][2]int // of context and of what is scored
			err = Rolling(ids, begins.ID, golden.MaxLength, func(inputs, targets []uint32, skip int) error {
				scored := len(targets) - skip
				windows = append(windows, [2]int{len(inputs) + 1 - scored, scored})
				return nil
			})
			if err != nil || !slices.Equal(windows, doc.Windows) {
				t.Errorf("%s, page %d: windows %v, %v, want %v", name, i, windows, err, doc.Windows)
			}
		}
	}
}

// A beginning that was named, and that the tokenizer does not put before a text, begins the first window alone.
func TestPrefixThatIsNamed(t *testing.T) {
	tok, err := tokenizers.Load("../../data/tokenizer/testdata/trained/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	if tok, err = tok.WithBegin("7", false); err != nil {
		t.Fatal(err)
	}
	begins := PrefixOf(tok, 0)
	ids, err := begins.Encode("a text")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := tok.Encode("a text")
	if err != nil {
		t.Fatal(err)
	}
	if begins.ID != 7 || !slices.Equal(ids, plain) || begins.What != "BOS, which the tokenizer does not add" {
		t.Errorf("%d, %v, %q; the text's own ids are %v", begins.ID, ids, begins.What, plain)
	}
}

// With its special tokens chosen, a tokenizer of either kind has the prefix that lm-evaluation-harness gives a text
// with nothing before it.
func TestLogLikelihoodPrefixGolden(t *testing.T) {
	content, err := os.ReadFile(datatest.Path(t, "golden_tasks/loglikelihood_cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string]struct {
		Cases []struct {
			Context    string
			ContextIDs []uint32 `json:"context_ids"`
		} `json:"loglikelihood"`
	}
	if err := json.Unmarshal(content, &golden); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"gpt2tok_tiny": "tokenizers/gpt2", "stories260K": "golden_tasks/stories260K_tokenizer",
	} {
		tok, err := tokenizers.Load(datatest.Path(t, path))
		if err == nil {
			tok, err = tok.WithEnd("")
		}
		if err == nil {
			tok, err = tok.WithBegin("", false)
		}
		if err != nil {
			t.Fatal(err)
		}
		end, _ := tok.EndOfText()
		seen := 0
		for _, c := range golden[name].Cases {
			if c.Context != "" {
				continue
			}
			seen++
			if got := PrefixOf(tok, end).ID; !slices.Equal(c.ContextIDs, []uint32{got}) {
				t.Errorf("%s: the prefix is %d, want %d", name, got, c.ContextIDs)
			}
		}
		if seen == 0 {
			t.Errorf("%s: no text has nothing before it", name)
		}
	}
}
