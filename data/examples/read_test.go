package examples

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"steplm/data/chat"
	"steplm/data/datatest"
	"steplm/data/tokenizer"
)

// bytesTokenizer has an id for each byte, and names for its special tokens in raw texts.
type bytesTokenizer struct{}

const begins, ends, user, assistant = 256, 257, 258, 259

func (bytesTokenizer) Encode(text string) ([]uint32, error) {
	ids := []uint32{begins}
	for _, b := range []byte(text) {
		ids = append(ids, uint32(b))
	}
	return ids, nil
}

func (bytesTokenizer) EncodeRaw(text string) (ids []uint32, err error) {
	for text != "" {
		name := ""
		for i, special := range []string{"<s>", "</s>", "<|user|>", "<|assistant|>"} {
			if strings.HasPrefix(text, special) {
				ids, name = append(ids, begins+uint32(i)), special
			}
		}
		if name == "" {
			ids, name = append(ids, uint32(text[0])), text[:1]
		}
		text = text[len(name):]
	}
	return ids, nil
}

func (bytesTokenizer) VocabSize() int            { return 260 }
func (bytesTokenizer) EndOfText() (uint32, bool) { return ends, true }
func (bytesTokenizer) Ends() bool                { return true }
func (bytesTokenizer) Hash() string              { return "bytes" }

// decode shows ids, of which some are learned: those stand in brackets.
func decode(e Example) string {
	var b strings.Builder
	for i, id := range e.IDs {
		for _, s := range e.Learned {
			if i == s.From {
				b.WriteByte('[')
			}
		}
		switch {
		case id < 256:
			b.WriteByte(byte(id))
		default:
			b.WriteString([]string{"<s>", "</s>", "<|user|>", "<|assistant|>"}[id-256])
		}
		for _, s := range e.Learned {
			if i+1 == s.To {
				b.WriteByte(']')
			}
		}
	}
	return b.String()
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return b.String()
}

// The same records are read from an array, from lines, compressed, and from columns.
func TestReadsEachKindOfFile(t *testing.T) {
	const one = `{"instruction": "Add.", "input": "1 1", "output": "2", "text": "x", "id": 7}`
	const two = `{"instruction": "Greet.", "output": "Hi!\n"}`
	rows := []datatest.Strings{{"instruction": "Add.", "input": "1 1", "output": "2"},
		{"instruction": "Greet.", "input": "", "output": "Hi!\n"}}
	for name, text := range map[string]string{
		"a.json": "[" + one + ",\n " + two + "]", "a.jsonl": one + "\n\n" + two + "\n",
		"b.jsonl":    "\ufeff" + one + "\r\n" + two,
		"a.jsonl.gz": gzipped(one + "\n" + two), "a.json.gz": gzipped("[" + one + "," + two + "]"), "a.parquet": "",
	} {
		path := examplesFile(t, name, text)
		if text == "" {
			if err := datatest.WriteStrings(path, []string{"instruction", "input", "output"}, rows); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Read([]string{path}, Options{Tokenizer: bytesTokenizer{}, SeqLen: 512})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := []string{"<s>" + chat.Alpaca{}.Prompt("Add.", "1 1") + "[2</s>]",
			"<s>" + chat.Alpaca{}.Prompt("Greet.", "") + "[Hi!\n</s>]"}
		if len(s.Examples) != 2 || decode(s.Examples[0]) != want[0] || decode(s.Examples[1]) != want[1] {
			t.Errorf("%s: %d examples, the first %q", name, len(s.Examples), decode(s.Examples[0]))
		}
		if unread := strings.Join(s.Unread, " "); unread != "id" && text != "" {
			t.Errorf("%s: nobody reads %q", name, unread)
		}
	}
}

// A pair of surrogates is a character, and other escapes are what they stand for.
func TestEscapes(t *testing.T) {
	const want = "\U0001F600\t\"é/"
	s, err := Read([]string{examplesFile(t, "a.jsonl",
		`{"instruction": "a", "output": "\ud83d\ude00\t\"\u00e9\/"}
{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "\ud83d\ude00\t\"\u00e9\/"}]}`)},
		Options{Tokenizer: bytesTokenizer{}, SeqLen: 512})
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range s.Examples {
		var got []byte
		for _, id := range x.IDs[x.Prompt : len(x.IDs)-1] {
			got = append(got, byte(id))
		}
		if string(got) != want {
			t.Errorf("example %d answers %q, want %q", i+1, got, want)
		}
	}
}

const turns = `{%- for m in messages %}<|{{ m.role }}|>{{ m.content }}{% if m.role == 'assistant' %}</s>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}`

// Of a conversation every turn of the assistant counts, with what ends it, and nothing else.
func TestConversations(t *testing.T) {
	template, err := chat.Parse(turns, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	const talk = `{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},` +
		`{"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}, {"role": "user", "content": "e"}]}`
	for _, c := range []struct {
		format chat.Format
		want   string
	}{
		{template, "<|user|>a<|assistant|>[b</s>]\n<|user|>c<|assistant|>[d</s>]\n"},
		{nil, "<s>" + chat.Alpaca{}.Prompt("a", "") + "[b]\n\n### Instruction:\nc\n\n### Response:[d</s>]"},
	} {
		s, err := Read([]string{examplesFile(t, "a.jsonl", talk)},
			Options{Tokenizer: bytesTokenizer{}, Format: c.format, SeqLen: 512})
		if err != nil {
			t.Fatal(err)
		}
		if got := decode(s.Examples[0]); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		if e := s.Examples[0]; decode(Example{IDs: e.IDs[:e.Prompt]}) != strings.NewReplacer("[", "", "]", "").Replace(
			c.want[:strings.LastIndexByte(c.want, '[')]) {
			t.Errorf("the prompt is %q", decode(Example{IDs: e.IDs[:e.Prompt]}))
		}
	}
}

// What cannot be read is told in one line with its place, or left out and counted.
func TestBadExamples(t *testing.T) {
	const good = `{"instruction": "a", "output": "b"}`
	other, err := chat.Parse(`{% for m in messages %}{{ loop.length }}{{ m.content }}{% endfor %}`, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text, part string }{
		{"cut.jsonl", good + "\n" + `{"instruction": "a", "outp`, "line 2: it is no JSON"},
		{"number.jsonl", good + "\n7", "line 2: it is a JSON number"},
		{"null.jsonl", good + "\nnull", "line 2: it is null"},
		{"missing.jsonl", good + "\n" + `{"instruction": "a"}`, `line 2: it has no "output"`},
		{"no instruction.jsonl", `{"output": "a"}`, `line 1: it has no "instruction"`},
		{"kind.jsonl", `{"instruction": "a", "output": 7}`, `line 1: its "output" is 7: it must be a text`},
		{"null output.jsonl", `{"instruction": "a", "output": null}`, `its "output" is null`},
		{"nothing asked.jsonl", `{"instruction": " ", "output": "b"}`, "line 1: its instruction is empty"},
		{"misspelled.jsonl", `{"instruction": "a", "inputs": "b", "output": "c"}`, `did you mean "input"?`},
		{"half.jsonl", good + "\n" + `{"instruction": "a", "output": "x \ud83d"}`,
			`line 2: its "output": half of a surrogate`},
		{"half asked.jsonl", good + "\n" + `{"instruction": "\udca9", "output": "b"}`, `its "instruction": half of a`},
		{"half said.jsonl", good + "\n" + `{"messages": [{"role": "user", "content": "a"}, {"role": "assistant",` +
			`"content": "\ude00\ud83d"}]}`, `line 2: its messages: half of a surrogate pair, \ude00`},
		{"half.json", `[{"instruction": "a", "output": "\ud83d\u0041"}]`, `example 1: its "output": half of a`},
		{"array.json", "[\n" + good + ",\n{\"instruction\": \"a\"}]", `line 3, example 2: it has no "output"`},
		{"cut.json", "[" + good + ",\n" + `{"instruction`, "line 2, example 2"},
		{"open.json", "[" + good, "the array does not end"},
		{"more.json", "[" + good + "] 7", "something follows the array: 7"},
		{"numbers.json", "[7]", "line 1, example 1: it is a JSON number"},
		{"empty.jsonl", " \n", "the file is empty"},
		{"empty.json", "[]", "no example that can be learned from"},
		{"text.json", "Hello.", "neither a JSON array nor JSON Lines"},
		{"latin.jsonl", good + "\n{\"instruction\": \"a\", \"output\": \"\xe9\"}",
			"line 2: it is not UTF-8 text"},
		{"latin key.jsonl", good + "\n{\"instruction\": \"a\", \"\xe9\": 1, \"output\": \"b\"}",
			"line 2: it is not UTF-8"},
		{"latin.json", "[" + good + ",\n{\"instruction\": \"a\", \"output\": \"\xe9\"}]",
			"line 2, example 2: it is not UTF-8"},
		{"page.json", "<!DOCTYPE html><html>", "a web page"},
		{"nobody.jsonl", `{"messages": []}`, "line 1: it has no messages"},
		{"text messages.jsonl", `{"messages": "a"}`, `its messages are "a"`},
		{"no role.jsonl", `{"messages": [{"content": "a"}]}`, "message 1 has no role"},
		{"no content.jsonl", `{"messages": [{"role": "user", "content": null}]}`, "message 1 has no content"},
		{"no answer.jsonl", `{"messages": [{"role": "user", "content": "a"}]}`, "none of its 1 messages"},
		{"first.jsonl", `{"messages": [{"role": "assistant", "content": "a"}]}`, "message"},
		{"turns.jsonl", `{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "a"},` +
			`{"role": "assistant", "content": "a"}]}`, "in turns"},
	} {
		path := examplesFile(t, c.name, c.text)
		o := Options{Tokenizer: bytesTokenizer{}, SeqLen: 512}
		_, err := Read([]string{path}, o)
		if err == nil || !strings.Contains(err.Error(), c.part) || !strings.Contains(err.Error(), c.name) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", c.name, err, c.part)
		}
		if !strings.Contains(c.text, good+"\n") {
			continue
		}
		o.SkipBad = true
		if s, err := Read([]string{path}, o); err != nil || len(s.Examples) != 1 || s.Left.Bad != 1 {
			t.Errorf("%s, skipping: %v", c.name, err)
		}
	}
	path := examplesFile(t, "a.jsonl", `{"messages": [{"role": "user", "content": "a"}, `+
		`{"role": "assistant", "content": "b"}]}`)
	if _, err := Read([]string{path}, Options{Tokenizer: bytesTokenizer{}, SeqLen: 512, Format: other}); err == nil ||
		!strings.Contains(err.Error(), "it cannot be told which") {
		t.Errorf("a template that looks ahead: %v", err)
	}
	if _, err := Read([]string{"nowhere.json"}, Options{Tokenizer: bytesTokenizer{}, SeqLen: 512}); err == nil {
		t.Error("a file that is not there")
	}
}

// A row that cannot be read is told with its place, or left out and counted; so are all rows of a row group that is
// damaged. A file without rows beside others has no examples.
func TestBadRows(t *testing.T) {
	columns := []string{"instruction", "output"}
	good, latin := datatest.Strings{"instruction": "a", "output": "b"}, datatest.Strings{"instruction": "a",
		"output": "\xe9"}
	columnsFile := func(name string, rows ...datatest.Strings) string {
		path := filepath.Join(t.TempDir(), name)
		if err := datatest.WriteStrings(path, columns, rows); err != nil {
			t.Fatal(err)
		}
		return path
	}
	damaged := func(path string) string {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		copy(content[4:], "\xff\xff\xff\xff") // where the first page begins
		return examplesFile(t, filepath.Base(path), string(content))
	}
	for _, c := range []struct {
		path, part string
		bad        int64
	}{
		{columnsFile("latin.parquet", good, latin, good), "row 2: row group 0: column output: value 2 of", 1},
		{columnsFile("null.parquet", good, datatest.Strings{"instruction": "a"}), `row 2: its "output" is null`, 1},
		{damaged(columnsFile("damaged.parquet", good, good, good)), `rows 1 to 3: row group 0: column "instruction"`,
			3},
		{talksFile(t, "talk.parquet", "messages", hub, talk(hub, "a", "\xe9"), talk(hub, "a", "b")), "row 1: ", 1},
		{columnsFile("empty.parquet"), "", 0},
		{talksFile(t, "none.parquet", "messages", hub), "", 0},
	} {
		o := Options{Tokenizer: bytesTokenizer{}, SeqLen: 512}
		paths := []string{c.path, columnsFile("good.parquet", good)}
		s, err := Read(paths, o)
		switch {
		case c.part == "" && (err != nil || len(s.Examples) != 1):
			t.Errorf("%s: %v", c.path, err)
		case c.part != "" && (err == nil || !strings.Contains(err.Error(), c.part) ||
			strings.Count(err.Error(), c.path) != 1):
			t.Errorf("%s: %v, want %q", c.path, err, c.part)
		}
		o.SkipBad = true
		if s, err := Read(paths, o); err != nil || s.Left.Bad != c.bad {
			t.Errorf("%s, skipping: %v, %v", c.path, s, err)
		}
	}
	if _, err := Read([]string{columnsFile("empty.parquet")}, Options{Tokenizer: bytesTokenizer{}, SeqLen: 512}); err ==
		nil || !strings.Contains(err.Error(), "no example that can be learned from") {
		t.Errorf("a file without rows alone: %v", err)
	}
}

// Answers that are empty, prompts that fill a window and what is cut are counted.
func TestLeft(t *testing.T) {
	prompt := len(chat.Alpaca{}.Prompt("a", "")) + 1
	long := strings.Repeat("x", 300)
	path := examplesFile(t, "a.jsonl", `{"instruction": "a", "output": " "}
{"instruction": "a", "output": "b"}
{"instruction": "`+long+`", "output": "b"}
{"instruction": "a", "output": "`+long+`"}
{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}]}`)
	s, err := Read([]string{path}, Options{Tokenizer: bytesTokenizer{}, SeqLen: prompt + 10})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Left{Empty: 2, Long: 1, Cut: 1}); s.Left != want || len(s.Examples) != 2 {
		t.Errorf("%d examples, %s", len(s.Examples), s.Left)
	}
	if e := s.Examples[1]; len(e.IDs) != prompt+10 || e.Targets() != 10 || e.IDs[prompt+9] != 'x' {
		t.Errorf("cut, an example is %q", decode(e))
	}
}

// A part that is kept apart is a share of the set, and stays the same part when examples are added.
func TestSplit(t *testing.T) {
	var text strings.Builder
	for i := range 400 {
		text.WriteString(`{"instruction": "a", "output": "` + strings.Repeat("y", i/2+1) + `"}` + "\n")
	}
	read := func(text string) *Set {
		s, err := Read([]string{examplesFile(t, "a.jsonl", text)}, Options{Tokenizer: bytesTokenizer{}, SeqLen: 512})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	rest, apart, err := read(text.String()).Split(0.25)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(apart.Examples); n < 60 || n > 140 || n%2 != 0 || n+len(rest.Examples) != 400 {
		t.Errorf("%d examples are kept apart, %d are not", n, len(rest.Examples))
	}
	_, more, err := read(`{"instruction": "b", "output": "c"}` + "\n" + text.String()).Split(0.25)
	if err != nil || len(more.Examples)-len(apart.Examples) > 1 || len(more.Examples) < len(apart.Examples) {
		t.Errorf("another example changes %d that are kept apart to %d (%v)", len(apart.Examples),
			len(more.Examples), err)
	}
	if rest.Identity() == apart.Identity() || rest.Identity() == read(text.String()).Identity() {
		t.Error("parts have one identity")
	}
	for _, share := range []float64{-1, 0, 1, 1e-9} {
		if _, _, err := rest.Split(share); err == nil {
			t.Errorf("a share of %g is taken", share)
		}
	}
}

var _ Tokenizer = (*tokenizer.Documents)(nil)

// The first examples are those of the file's order, and are another set than all; of them alone it is counted how many
// are cut.
func TestFirst(t *testing.T) {
	file := examplesFile(t, "a.jsonl", `{"instruction": "a", "output": "b"}
{"instruction": "a", "output": "`+strings.Repeat("long ", 60)+`"}
{"instruction": "c", "output": "d"}
`)
	all, err := Read([]string{file}, Options{Tokenizer: bytesTokenizer{}, SeqLen: 400})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ n, examples, cut int }{{1, 1, 0}, {2, 2, 1}, {3, 3, 1}, {9, 3, 1}} {
		s := all.First(c.n)
		if len(s.Examples) != c.examples || s.Left.Cut != int64(c.cut) ||
			(s.Identity() == all.Identity()) != (c.n >= 3) {
			t.Errorf("the first %d: %d examples, %s, %s", c.n, len(s.Examples), s.Left, s.Identity())
		}
	}
	if len(all.Examples) != 3 || all.Left.Cut != 1 {
		t.Errorf("all are %d, %s", len(all.Examples), all.Left)
	}
}
