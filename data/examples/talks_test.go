package examples

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"steplm/data/chat"
	"steplm/data/datatest"
)

// hub and shareGPT are how the hub's conversations say who speaks, and what.
var hub, shareGPT = [2]string{"role", "content"}, [2]string{"from", "value"}

// talk is a conversation in which a user speaks first.
func talk(keys [2]string, texts ...string) (list []datatest.Strings) {
	who := []string{"user", "assistant"}
	if keys == shareGPT {
		who = []string{"human", "gpt"}
	}
	for i, text := range texts {
		list = append(list, datatest.Strings{keys[0]: who[i%2], keys[1]: text})
	}
	return list
}

// talksFile is a Parquet file of conversations.
func talksFile(t *testing.T, name, column string, keys [2]string, talks ...[]datatest.Strings) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := datatest.WriteTalks(path, column, keys, talks); err != nil {
		t.Fatal(err)
	}
	return path
}

// The same conversations are read from lines and from Parquet, by both names of the column and of its fields.
func TestReadsConversationsOfEachKind(t *testing.T) {
	template, err := chat.Parse(turns, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	const first, second = "<|user|>a<|assistant|>[b</s>]\n<|user|>é\n<|assistant|>[d</s>]\n",
		"<|user|>e<|assistant|>[f</s>]\n"
	identities := map[string]string{}
	for name, path := range map[string]string{
		"messages": talksFile(t, "a.parquet", "messages", hub, talk(hub, "a", "b", "é\n", "d"), talk(hub, "e", "f")),
		"conversations": talksFile(t, "b.parquet", "conversations", shareGPT, talk(shareGPT, "a", "b", "é\n", "d"),
			talk(shareGPT, "e", "f")),
		"role": talksFile(t, "c.parquet", "conversations", hub, talk(hub, "a", "b", "é\n", "d"), talk(hub, "e", "f")),
		"lines": examplesFile(t, "d.jsonl", `{"id": "", "conversations": [{"from": "human", "value": "a"}, `+
			`{"from": "gpt", "value": "b"}, {"from": "human", "value": "é\n"}, {"from": "gpt", "value": "d"}]}
{"conversations": [{"from": "human", "value": "e"}, {"from": "gpt", "value": "f"}]}`),
	} {
		s, err := Read([]string{path}, Options{Tokenizer: bytesTokenizer{}, Format: template, SeqLen: 512})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(s.Examples) != 2 || decode(s.Examples[0]) != first || decode(s.Examples[1]) != second || s.Talks != 2 {
			t.Errorf("%s: %d examples, the first %q", name, len(s.Examples), decode(s.Examples[0]))
		}
		if got := strings.Join(s.Unread, " "); got != "id" {
			t.Errorf("%s: nobody reads %q", name, got)
		}
		for other, id := range identities {
			if id == s.Identity() {
				t.Errorf("%s and %s have one identity", name, other)
			}
		}
		identities[name] = s.Identity()
	}
	changed := talksFile(t, "a.parquet", "messages", hub, talk(hub, "a", "b", "é\n", "d"), talk(hub, "e", "g"))
	s, err := Read([]string{changed}, Options{Tokenizer: bytesTokenizer{}, Format: template, SeqLen: 512})
	if err != nil || s.Identity() == identities["messages"] {
		t.Errorf("other messages have the same identity, or %v", err)
	}
}

// What cannot be read of Parquet is told with its row, or left out and counted, as it is of lines.
func TestBadConversationsInParquet(t *testing.T) {
	good := talk(hub, "a", "b")
	none := func(m datatest.Strings) []datatest.Strings { return []datatest.Strings{m} }
	for name, c := range map[string]struct {
		keys [2]string
		bad  []datatest.Strings
		part string
	}{
		"null":       {hub, nil, "row 2: it has no messages"},
		"nobody":     {hub, []datatest.Strings{}, "row 2: it has no messages"},
		"no role":    {hub, none(datatest.Strings{"content": "a"}), "row 2: message 1 has no role"},
		"no content": {hub, none(datatest.Strings{"role": "user"}), "row 2: message 1 has no content"},
		"no answer":  {hub, talk(hub, "a"), "row 2: none of its 1 messages"},
		"nobody asked": {hub, none(datatest.Strings{"role": "assistant", "content": "a"}),
			"row 2: message 1 is of the role"},
		"a stranger": {shareGPT, none(datatest.Strings{"from": "bing", "value": "a"}),
			`row 2: message 1 is from "bing": there are assistant, gpt, human`},
	} {
		first := good
		if c.keys == shareGPT {
			first = talk(shareGPT, "a", "b")
		}
		path := talksFile(t, "a.parquet", "messages", c.keys, first, c.bad)
		o := Options{Tokenizer: bytesTokenizer{}, SeqLen: 512}
		if _, err := Read([]string{path}, o); err == nil || !strings.Contains(err.Error(), "a.parquet, "+c.part) {
			t.Errorf("%s: %v, want %q", name, err, c.part)
		}
		o.SkipBad = true
		if s, err := Read([]string{path}, o); err != nil || len(s.Examples) != 1 || s.Left.Bad != 1 {
			t.Errorf("%s, skipping: %v", name, err)
		}
	}
	path := talksFile(t, "a.parquet", "messages", hub, good, talk(hub, "\xff", "b"))
	if _, err := Read([]string{path}, Options{Tokenizer: bytesTokenizer{}, SeqLen: 512}); err == nil ||
		!strings.Contains(err.Error(), "no UTF-8") {
		t.Errorf("a text that is no UTF-8: %v", err)
	}
}

// Columns are refused as keys are: one that is nearly read, and where those that are needed are not there.
func TestBadColumns(t *testing.T) {
	for column, part := range map[string]string{
		"conversation": `"conversation", which nobody reads: did you mean "conversations"?`,
		"dialogue":     `it has no column "instruction", but id, dialogue: an example has`,
	} {
		path := talksFile(t, "a.parquet", column, hub, talk(hub, "a", "b"))
		_, err := Read([]string{path}, Options{Tokenizer: bytesTokenizer{}, SeqLen: 512})
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %q", column, err, part)
		}
	}
	path := filepath.Join(t.TempDir(), "a.parquet")
	row := []datatest.Strings{{"instruction": "a", "inputs": "b", "output": "c"}}
	if err := datatest.WriteStrings(path, []string{"instruction", "inputs", "output"}, row); err != nil {
		t.Fatal(err)
	}
	if _, err := Read([]string{path}, Options{Tokenizer: bytesTokenizer{}, SeqLen: 512}); err == nil ||
		!strings.Contains(err.Error(), `did you mean "input"?`) {
		t.Errorf("a column that is nearly input: %v", err)
	}
}

// A template that asks for the date makes other examples on another day, which are another set; one that does not, the
// same.
func TestTemplatesThatDate(t *testing.T) {
	path := talksFile(t, "a.parquet", "messages", hub, talk(hub, "a", "b"))
	read := func(source string, day int, undated bool) *Set {
		now := time.Date(2026, 11, day, 9, 0, 0, 0, time.UTC)
		template, err := chat.Parse(source, nil, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		s, err := Read([]string{path}, Options{Tokenizer: bytesTokenizer{}, Format: template, SeqLen: 512,
			Undated: undated})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	const dated = `{{ strftime_now("%d %b %Y") }}` + turns
	first, second := read(dated, 27, false), read(dated, 28, false)
	if got := decode(second.Examples[0]); got != "28 Nov 2026<|user|>a<|assistant|>[b</s>]\n" {
		t.Errorf("%q", got)
	}
	if first.Identity() == second.Identity() || first.Identity() != read(dated, 27, false).Identity() {
		t.Errorf("of two days: %s and %s", first.Identity(), second.Identity())
	}
	if got := read(dated, 27, true).Identity(); got+", told the date 2026-11-27" != first.Identity() {
		t.Errorf("without the date the identity is %s", got)
	}
	if a, b := read(turns, 27, false).Identity(), read(turns, 28, false).Identity(); a != b {
		t.Errorf("a template without a date: %s and %s", a, b)
	}
}

// Where a template marks what is generated, that alone is learned, to the letter: of a conversation whose beginning it
// writes otherwise too.
func TestTemplatesThatMark(t *testing.T) {
	const source = `{% for m in messages %}{% if m.role == 'assistant' %}<|assistant|>{% generation %}` +
		`{{ m.content if loop.last else m.content[1:] }}</s>{% endgeneration %}{{ '\n' }}{% else %}` +
		`<|user|>{{ m.content }}{% endif %}{% endfor %}`
	template, err := chat.Parse(source, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Tokenizer: bytesTokenizer{}, Format: template, SeqLen: 512}
	path := talksFile(t, "a.parquet", "messages", hub, talk(hub, "a", "bb", "c", "dd", "e"))
	s, err := Read([]string{path}, o)
	if err != nil {
		t.Fatal(err)
	}
	const want = "<|user|>a<|assistant|>[b</s>]\n<|user|>c<|assistant|>[dd</s>]\n"
	if got := decode(s.Examples[0]); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if x := s.Examples[0]; x.IDs[x.Prompt] != 'd' || !strings.Contains(s.Identity(), "marks") {
		t.Errorf("the last answer begins at %d, and the identity is %s", x.Prompt, s.Identity())
	}
	if o.Format, err = chat.Parse(`{{ messages[0].content }}{% if false %}{% generation %}{% endgeneration %}`+
		`{% endif %}`, nil, time.Now); err != nil {
		t.Fatal(err)
	}
	if _, err := Read([]string{path}, o); err == nil || !strings.Contains(err.Error(), "nothing to learn") {
		t.Errorf("a template that marks nothing: %v", err)
	}
}
