package serve_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data/datatest"
)

type golden struct {
	Prompt    string
	PromptIDs []uint32 `json:"prompt_ids"`
	NewIDs    []uint32 `json:"new_ids"`
	Text      string
	Sum       float64 `json:"sum_logprob"`
}

// goldens are texts that transformers continued.
func goldens(t *testing.T) []golden {
	t.Helper()
	var all struct{ Greedy []golden }
	raw, err := os.ReadFile(datatest.Path(t, "generate/greedy.json"))
	if err == nil {
		err = json.Unmarshal(raw, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all.Greedy
}

func sum(list []*float64) (sum float64) {
	for _, x := range list {
		sum += *x
	}
	return sum
}

// Completions are transformers' own, of texts and of ids, one by one and many in a request, whole and as a stream.
func TestCompletionsAreGolden(t *testing.T) {
	s := stories(t, nil)
	list := goldens(t)
	list = list[:min(len(list), 4)]
	var texts []string
	var ids [][]uint32
	for _, x := range list {
		texts, ids = append(texts, x.Prompt), append(ids, x.PromptIDs)
	}
	request := func(prompt any) object {
		return object{"model": "small", "prompt": prompt, "temperature": 0, "max_tokens": len(list[0].NewIDs),
			"logprobs": 2}
	}
	byText, byIDs := s.ask("/v1/completions", request(texts)), s.ask("/v1/completions", request(ids))
	for i, x := range list {
		one := s.ask("/v1/completions", request(x.Prompt))
		streamed, lone := "", one.Choices[0]
		var tokens []*float64
		chunks := s.stream("/v1/completions", request(x.PromptIDs))
		for _, a := range chunks {
			streamed += a.Choices[0].Text
			tokens = append(tokens, a.Choices[0].LogProbs.TokenLogProbs...)
			if a.ID != chunks[0].ID || a.Object != "text_completion" || a.Usage != nil {
				t.Errorf("%+v", a)
			}
		}
		if x.Prompt+lone.Text != x.Text || math.Abs(sum(lone.LogProbs.TokenLogProbs)-x.Sum) > 1e-3 {
			t.Errorf("%q: %q, sum %g, want %q, %g", x.Prompt, lone.Text, sum(lone.LogProbs.TokenLogProbs), x.Text,
				x.Sum)
		}
		for name, c := range map[string]choice{"by text": byText.Choices[i], "by ids": byIDs.Choices[i]} {
			if c.Index != i || c.Text != lone.Text || c.finish() != "length" ||
				!slices.EqualFunc(c.LogProbs.TokenLogProbs, lone.LogProbs.TokenLogProbs, same) {
				t.Errorf("%q, together %s: %q, alone %q", x.Prompt, name, c.Text, lone.Text)
			}
		}
		if streamed != lone.Text || !slices.EqualFunc(tokens, lone.LogProbs.TokenLogProbs, same) ||
			chunks[len(chunks)-1].Choices[0].finish() != "length" {
			t.Errorf("%q: as a stream %q, whole %q", x.Prompt, streamed, lone.Text)
		}
		if strings.Join(lone.LogProbs.Tokens, "") != lone.Text {
			t.Errorf("the tokens are %q", lone.LogProbs.Tokens)
		}
		for j, top := range lone.LogProbs.TopLogProbs {
			if own := top[lone.LogProbs.Tokens[j]]; own != *lone.LogProbs.TokenLogProbs[j] || len(top) > 2 {
				t.Errorf("token %d, %q with %g, of %v", j, lone.LogProbs.Tokens[j], *lone.LogProbs.TokenLogProbs[j],
					top)
			}
		}
		if u := one.Usage; u.Prompt != len(x.PromptIDs) || u.Completion != len(x.NewIDs) ||
			u.Total != u.Prompt+u.Completion {
			t.Errorf("%+v", u)
		}
	}
}

func same(a, b *float64) bool { return *a == *b }

// What lm-evaluation-harness asks: prompts of ids, told with their log-probabilities and one token behind them.
func TestEchoForEvaluation(t *testing.T) {
	s := stories(t, nil)
	var ids [][]uint32
	list := goldens(t)[:2]
	for _, x := range list {
		ids = append(ids, slices.Concat(x.PromptIDs, x.NewIDs))
	}
	for _, most := range []int{0, 1} {
		a := s.ask("/v1/completions", object{"model": "small", "prompt": ids, "temperature": 0, "max_tokens": most,
			"logprobs": 1, "seed": 1234, "echo": true})
		for i, x := range list {
			l, n := a.Choices[i].LogProbs, len(x.PromptIDs)
			if len(l.Tokens) != len(ids[i])+most || len(l.TokenLogProbs) != len(l.Tokens) ||
				len(l.TopLogProbs) != len(l.Tokens) || len(l.TextOffset) != len(l.Tokens) {
				t.Fatalf("%d tokens, %d and %d log-probabilities of %d tokens and %d", len(l.Tokens),
					len(l.TokenLogProbs),
					len(l.TopLogProbs), len(ids[i]), most)
			}
			if l.TokenLogProbs[0] != nil || l.TopLogProbs[0] != nil {
				t.Errorf("the first token has %v", l.TokenLogProbs[0])
			}
			added := l.TokenLogProbs[n:len(ids[i])]
			if got := sum(added); math.Abs(got-x.Sum) > 1e-3 {
				t.Errorf("%q: sum %g, want %g", x.Prompt, got, x.Sum)
			}
			for j, p := range added { // Each was the likeliest.
				best := math.Inf(-1)
				for _, q := range l.TopLogProbs[n+j] {
					best = max(best, q)
				}
				if *p != best {
					t.Errorf("%q, token %d: %v, the likeliest has %v", x.Prompt, j, *p, best)
				}
			}
			if !strings.HasPrefix(a.Choices[i].Text, "<s>"+x.Text) || a.Choices[i].finish() != "length" {
				t.Errorf("%q", a.Choices[i].Text)
			}
			for j, at := range l.TextOffset {
				if !strings.HasPrefix(a.Choices[i].Text[at:], l.Tokens[j]) && !strings.Contains(l.Tokens[j], "\ufffd") {
					t.Errorf("token %d, %q, is said to be at %d", j, l.Tokens[j], at)
				}
			}
		}
		if a.Usage.Completion != 2*most {
			t.Errorf("%+v", a.Usage)
		}
	}
	one := s.ask("/v1/completions", object{"prompt": "Once upon", "max_tokens": 2, "echo": true, "temperature": 0})
	if one.Choices[0].Text != "Once upon a time" {
		t.Errorf("%q", one.Choices[0].Text)
	}
	chunks := s.stream("/v1/completions", object{"prompt": "Once upon", "max_tokens": 2, "echo": true, "temperature": 0,
		"logprobs": 0})
	all, tokens := "", []string{}
	for _, a := range chunks {
		all += a.Choices[0].Text
		tokens = append(tokens, a.Choices[0].LogProbs.Tokens...)
	}
	if all != "Once upon a time" || !slices.Equal(tokens, []string{"<s>", "Once", " upon", " a", " time"}) {
		t.Errorf("%q, %q", all, tokens)
	}
}

// Fields of sampling do what they do on the command line: a seed gives the same text, and n texts differ.
func TestSampling(t *testing.T) {
	s := stories(t, nil)
	ask := func(change object) []string {
		request := object{"prompt": "Once upon a time", "max_tokens": 12, "seed": 7}
		for name, value := range change {
			request[name] = value
		}
		var list []string
		for _, c := range s.ask("/v1/completions", request).Choices {
			list = append(list, c.Text)
		}
		return list
	}
	dir, tok := datatest.Path(t, "models/stories260K"), datatest.Path(t, "generate/tokenizer")
	line := func(args ...string) string {
		return strings.TrimSuffix(clitest.Succeed(t, "", append([]string{"generate", "--model", dir, "--tokenizer", tok,
			"--device", "host", "--prompt", "Once upon a time", "--max-tokens", "12", "--seed", "7"}, args...)...),
			"\n")
	}
	for _, c := range []struct {
		fields object
		args   []string
	}{
		{nil, nil},
		{object{"temperature": 0.6, "top_k": 9, "top_p": 0.9, "min_p": 0.02, "repetition_penalty": 1.3},
			[]string{"--temperature", "0.6", "--top-k", "9", "--top-p", "0.9", "--min-p", "0.02",
				"--repetition-penalty", "1.3"}},
		{object{"stop": "little", "temperature": 0}, []string{"--stop", "little", "--temperature", "0"}},
	} {
		if got, want := ask(c.fields), line(c.args...); got[0] != want {
			t.Errorf("%v: %q, on the command line %q", c.fields, got[0], want)
		}
	}
	greedy := ask(object{"temperature": 0})[0]
	for _, same := range []object{{"top_k": 1}, {"top_p": 0}, {"temperature": 0, "top_k": -1, "seed": nil}} {
		if got := ask(same)[0]; got != greedy {
			t.Errorf("%v: %q, greedy is %q", same, got, greedy)
		}
	}
	three := ask(object{"n": 3})
	if len(three) != 3 || three[0] == three[1] || three[1] == three[2] || three[0] != ask(nil)[0] {
		t.Errorf("three texts: %q", three)
	}
	if other := ask(object{"seed": -1}); other[0] == three[0] {
		t.Errorf("another seed gives the same: %q", other)
	}
	// At this temperature no two texts are alike by chance; at 1 two once were.
	hot := object{"seed": nil, "temperature": 2, "max_tokens": 30}
	if a, b := ask(hot), ask(hot); a[0] == b[0] {
		t.Errorf("without a seed twice %q", a)
	}
	stopped := s.ask("/v1/completions", object{"prompt": "Once upon a time", "max_tokens": 30, "temperature": 0,
		"stop": []string{"zzz", "named L"}}).Choices[0]
	if stopped.Text != ", there was a little girl " || stopped.finish() != "stop" {
		t.Errorf("up to a stop string %q, %q", stopped.Text, stopped.finish())
	}
}

// Conversations go through the model's template, whole and as a stream; their answers end where a turn ends.
func TestConversations(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(datatest.Path(t, "models/stories260K"))); err != nil {
		t.Fatal(err)
	}
	template := "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
	if err := os.WriteFile(filepath.Join(dir, "chat_template.jinja"), []byte(template), 0o644); err != nil {
		t.Fatal(err)
	}
	config := `{"bos_token": "<s>", "eos_token": "</s>"}`
	if err := os.WriteFile(filepath.Join(dir, "tokenizer_config.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	s := served(t, dir, datatest.Path(t, "generate/tokenizer/tokenizer.json"), nil)
	request := func() object {
		return object{"model": dir, "temperature": 0, "max_completion_tokens": 9, "logprobs": true, "top_logprobs": 2,
			"messages": []object{{"role": "developer", "content": "Once "}, {"role": "user", "content": []object{
				{"type": "text", "text": "upon "}, {"type": "text", "text": "a time"}}}}}
	}
	plain := s.ask("/v1/completions", object{"prompt": "Once upon a time", "temperature": 0, "max_tokens": 9,
		"logprobs": 1})
	whole := s.ask("/v1/chat/completions", request())
	c := whole.Choices[0]
	if c.Message.Role != "assistant" || c.Message.Content != plain.Choices[0].Text || c.finish() != "length" ||
		whole.Object != "chat.completion" || whole.Model != "small" || !strings.HasPrefix(whole.ID, "chatcmpl-") {
		t.Errorf("%+v, as a completion %q", whole, plain.Choices[0].Text)
	}
	for i, x := range c.LogProbs.Content {
		if x.Token != plain.Choices[0].LogProbs.Tokens[i] || x.LogProb != *plain.Choices[0].LogProbs.TokenLogProbs[i] ||
			len(x.Top) != 2 || x.Top[0].LogProb < x.Top[1].LogProb {
			t.Errorf("token %d is %+v", i, x)
		}
	}
	streaming := request()
	streaming["stream_options"], streaming["n"] = object{"include_usage": true}, 2
	chunks := s.stream("/v1/chat/completions", streaming)
	said, roles, ends := map[int]string{}, map[int]string{}, map[int]string{}
	for i, a := range chunks {
		if a.ID != chunks[0].ID || a.Created != chunks[0].Created || a.Object != "chat.completion.chunk" {
			t.Errorf("chunk %d is %+v", i, a)
		}
		if last := i == len(chunks)-1; last != (a.Usage != nil) || last != (len(a.Choices) == 0) {
			t.Errorf("chunk %d has %+v and %d choices", i, a.Usage, len(a.Choices))
		}
		for _, c := range a.Choices {
			said[c.Index] += c.Delta.Content
			roles[c.Index] += c.Delta.Role
			ends[c.Index] += c.finish()
		}
	}
	for i := range 2 {
		if said[i] != c.Message.Content || roles[i] != "assistant" || ends[i] != "length" {
			t.Errorf("as a stream %q by %q, %q", said[i], roles[i], ends[i])
		}
	}
	if u := chunks[len(chunks)-1].Usage; u.Prompt != 5 || u.Completion != 18 || u.Total != 23 {
		t.Errorf("%+v", u)
	}
	ended := s.ask("/v1/chat/completions", object{"temperature": 0, "messages": []object{{"role": "user",
		"content": "Once upon a time"}}, "stop": "girl"})
	if got := ended.Choices[0]; got.Message.Content != ", there was a little " || got.finish() != "stop" {
		t.Errorf("%+v", got)
	}
}

// A model may have more ids than its tokenizer: those it draws have no text, and end nothing. A template may make
// nothing of messages, which is said. Messages may say that they are text, as lm-evaluation-harness's do.
func TestTextOfLittle(t *testing.T) {
	dir := clitest.RandomModel(t, 1000)
	template := "{% for m in messages %}{{ m['content'] }}{% endfor %}"
	if err := os.WriteFile(filepath.Join(dir, "chat_template.jinja"), []byte(template), 0o644); err != nil {
		t.Fatal(err)
	}
	s := served(t, dir, "", nil)
	for _, said := range []any{"", nil} {
		body, err := json.Marshal(object{"messages": []object{{"role": "user", "content": said}}})
		if err != nil {
			t.Fatal(err)
		}
		if a := s.refused(400, "/v1/chat/completions", string(body), "no tokens"); a.Error == nil ||
			a.Error.Param == nil || *a.Error.Param != "messages" {
			t.Errorf("%s: %+v", body, a)
		}
	}
	ask := object{"messages": []object{{"role": "user", "content": "The", "type": "text"}}, "max_tokens": 20,
		"seed": 1, "ignore_eos": true, "logprobs": true}
	a := s.ask("/v1/chat/completions", ask)
	beyond := 0
	for _, x := range a.Choices[0].LogProbs.Content {
		if x.Token == "" {
			beyond++
		}
	}
	if a.Usage.Completion != 20 || beyond == 0 || beyond == 20 {
		t.Errorf("%d of %d tokens are beyond the tokenizer's", beyond, a.Usage.Completion)
	}
}

// Whoever counts tokens can ask for them, and for the model.
func TestTokensAndModels(t *testing.T) {
	s := stories(t, nil)
	for path, parts := range map[string][]string{
		"/v1/models":       {`"object":"list"`, `"id":"small"`, `"max_model_len":512`},
		"/v1/models/small": {`"object":"model"`, `"id":"small"`},
		"/tokenizer_info":  {`"bos_token":"<s>"`, `"eos_token":"</s>"`},
		"/health":          {`"status":"ok"`},
	} {
		answer, body := s.do("GET", path, "")
		for _, part := range parts {
			if answer.StatusCode != 200 || !strings.Contains(body, part) {
				t.Errorf("%s: %d %s", path, answer.StatusCode, body)
			}
		}
	}
	x := goldens(t)[0]
	var got struct {
		Tokens []uint32
		Count  int
		Prompt string
	}
	_, body := s.do("POST", "/tokenize", text(t, object{"prompt": x.Prompt}))
	if err := json.Unmarshal([]byte(body), &got); err != nil || !slices.Equal(got.Tokens, x.PromptIDs) ||
		got.Count != len(x.PromptIDs) {
		t.Errorf("%s, want %v", body, x.PromptIDs)
	}
	_, body = s.do("POST", "/tokenize", text(t, object{"prompt": x.Prompt, "add_special_tokens": false}))
	if err := json.Unmarshal([]byte(body), &got); err != nil || !slices.Equal(got.Tokens, x.PromptIDs[1:]) {
		t.Errorf("%s, want %v", body, x.PromptIDs[1:])
	}
	_, body = s.do("POST", "/detokenize", text(t, object{"tokens": x.PromptIDs[1:]}))
	if err := json.Unmarshal([]byte(body), &got); err != nil || got.Prompt != x.Prompt {
		t.Errorf("%s, want %q", body, x.Prompt)
	}
}
