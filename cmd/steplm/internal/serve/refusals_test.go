package serve_test

import (
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/serve"
	"steplm/model/generate"
)

// Every request that is wrong has one clear answer, in OpenAI's form, which names the field.
func TestRefusals(t *testing.T) {
	s := random(t, func(c *serve.Config, _ *generate.Config) {
		c.MaxTokens, c.MaxBody, c.MaxSequences, c.MaxRequestSize = 20, 4000, 8, 260
	})
	const texts, talk = "/v1/completions", "/v1/chat/completions"
	for _, c := range []struct {
		status int
		path   string
		body   string
		param  string
		parts  []string
	}{
		{400, texts, ``, "", []string{"no body"}},
		{400, texts, `   `, "", []string{"no body"}},
		{400, texts, `{"prompt": "a`, "", []string{"no JSON", "ends"}},
		{400, texts, `{"prompt": a}`, "", []string{"no JSON", "byte "}},
		{400, texts, `garbage`, "", []string{"no JSON"}},
		{400, texts, `{"prompt": "a"} {}`, "", []string{"more"}},
		{400, texts, `[]`, "", []string{"the request's body is an array", "an object"}},
		{400, texts, `{"prompt": "` + "\xff" + `"}`, "", []string{"UTF-8"}},
		{400, texts, `{"promt": "a"}`, "promt", []string{"promt", "not known"}},
		{400, texts, `{}`, "prompt", []string{"no prompt"}},
		{400, texts, `{"prompt": null}`, "prompt", []string{"no prompt"}},
		{400, texts, `{"prompt": 7}`, "prompt", []string{"a string, a list"}},
		{400, texts, `{"prompt": []}`, "prompt", []string{"none of them empty"}},
		{400, texts, `{"prompt": ["a", null]}`, "prompt", []string{"a list"}},
		{400, texts, `{"prompt": [-1]}`, "prompt", []string{"a list"}},
		{400, texts, `{"prompt": [1.5]}`, "prompt", []string{"a list"}},
		{400, texts, `{"prompt": [[1], []]}`, "", []string{"no tokens"}},
		{400, texts, `{"prompt": [1, 280]}`, "", []string{"280"}},
		{400, texts, `{"prompt": [1, 280], "echo": true}`, "prompt", []string{"280"}},
		{400, texts, `{"prompt": "a", "max_tokens": "7"}`, "max_tokens",
			[]string{"max_tokens is a string: a whole number"}},
		{400, texts, `{"prompt": "a", "max_tokens": 1.5}`, "max_tokens", []string{"a whole number"}},
		{400, texts, `{"prompt": "a", "max_tokens": -1}`, "max_tokens", []string{"max_tokens -1", "0 or more"}},
		{400, texts, `{"prompt": "a", "max_tokens": 21}`, "max_tokens", []string{"max_tokens 21", "at most 20"}},
		{400, texts, `{"prompt": "a", "min_tokens": -1}`, "min_tokens", []string{"min_tokens -1"}},
		{400, texts, `{"prompt": "a", "temperature": -1}`, "temperature", []string{"temperature -1", "0 or more"}},
		{400, texts, `{"prompt": "a", "temperature": 1e999}`, "temperature", nil},
		{400, texts, `{"prompt": "a", "top_p": 2}`, "top_p", []string{"top_p 2"}},
		{400, texts, `{"prompt": "a", "top_k": -2}`, "top_k", []string{"top_k -2"}},
		{400, texts, `{"prompt": "a", "min_p": 7}`, "min_p", []string{"min_p 7"}},
		{400, texts, `{"prompt": "a", "repetition_penalty": 0}`, "repetition_penalty", []string{"above 0"}},
		{400, texts, `{"prompt": "a", "repetition_penalty": -1}`, "repetition_penalty", []string{"above 0"}},
		{400, texts, `{"prompt": "a", "frequency_penalty": 1}`, "frequency_penalty", []string{"only 0"}},
		{400, texts, `{"prompt": "a", "presence_penalty": 1}`, "presence_penalty", []string{"only 0"}},
		{400, texts, `{"prompt": "a", "logit_bias": {"5": 1}}`, "logit_bias", []string{"leave it out"}},
		{400, texts, `{"prompt": "a", "suffix": "b"}`, "suffix", []string{"leave it out"}},
		{400, texts, `{"prompt": "a", "best_of": 2}`, "best_of", []string{"best_of 2"}},
		{400, texts, `{"prompt": "a", "logprobs": 21}`, "logprobs", []string{"logprobs 21", "20"}},
		{400, texts, `{"prompt": "a", "logprobs": -1}`, "logprobs", []string{"logprobs -1"}},
		{400, texts, `{"prompt": "a", "n": 0}`, "n", []string{"n 0"}},
		{400, texts, `{"prompt": "a", "stop": 5}`, "stop", []string{"a string or a list"}},
		{400, texts, `{"prompt": "a", "stop": [` + strings.Repeat(`"x",`, 64) + `"x"]}`, "stop",
			[]string{"65 texts", "at most 64"}},
		{400, texts, `{"prompt": "a", "stream_options": {"include_usage": true}}`, "stream_options",
			[]string{"stream"}},
		{400, texts, `{"prompt": [` + strings.Repeat("1,", 33) + `1]}`, "prompt", []string{"34 tokens", "at most 32"}},
		{404, texts, `{"prompt": "a", "model": "gpt-4"}`, "model", []string{"gpt-4", "small"}},
		{413, texts, `{"prompt": "` + strings.Repeat("a", 4000) + `"}`, "", []string{"bytes", "4000"}},
		{413, texts, `{"prompt": "a", "n": 9}`, "", []string{"1 prompts of 9 texts", "at most 8"}},
		{413, texts, `{"prompt": ["a", "b", "c"], "n": 3}`, "", []string{"at most 8"}},
		{413, texts, `{"prompt": "a", "n": 9223372036854775807}`, "", []string{"at most 8"}},
		{413, texts, `{"prompt": [` + strings.Repeat(`"a",`, 500) + `"a"]}`, "", []string{"501 prompts", "at most 8"}},
		{413, texts, `{"prompt": [` + strings.Repeat("1,", 31) + `1], "n": 8}`, "", []string{"264 tokens",
			"at most 260"}},
		{400, talk, `{}`, "messages", []string{"no messages"}},
		{400, talk, `{"messages": "a"}`, "messages", []string{"a list"}},
		{400, talk, `{"messages": [{"content": "a"}]}`, "messages", []string{"role"}},
		{400, talk, `{"messages": [{"role": "wizard", "content": "a"}]}`, "messages", []string{"wizard"}},
		{400, talk, `{"messages": [{"role": "user", "content": 7}]}`, "messages", []string{"content"}},
		{400, talk, `{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}`,
			"messages", []string{"image_url", "only text"}},
		{400, talk, `{"messages": [{"role": "user", "content": "a", "tool_calls": [{}]}]}`, "messages",
			[]string{"tool"}},
		{400, talk, `{"messages": [{"role": "user", "content": "a"}], "tools": [{}]}`, "tools", []string{"tools"}},
		{400, talk, `{"messages": [{"role": "user", "content": "a"}], "response_format": {"type": "json_object"}}`,
			"response_format", nil},
		{400, talk, `{"messages": [{"role": "user", "content": "a"}], "top_logprobs": 2}`, "top_logprobs", nil},
		{400, talk, `{"messages": [{"role": "user", "content": "a"}], "max_tokens": 2, "max_completion_tokens": 3}`,
			"max_completion_tokens", []string{"give one"}},
		{400, talk, `{"messages": [{"role": "user", "content": "` + strings.Repeat("a ", 9) + `"}]}`, "", []string{
			"at most 32"}},
		{404, "/v1/embeddings", `{}`, "", []string{"/v1/embeddings"}},
		{405, "/v1/models", `{}`, "", []string{"GET"}},
	} {
		for _, stream := range []bool{false, true} {
			body := c.body
			if stream && strings.HasPrefix(body, `{"`) && strings.HasSuffix(body, "}") && c.param != "stream_options" {
				body = `{"stream": true, ` + body[1:]
			}
			a := s.refused(c.status, c.path, body, c.parts...)
			if a.Error == nil {
				continue
			}
			param := ""
			if a.Error.Param != nil {
				param = *a.Error.Param
			}
			if c.param != "" && param != c.param {
				t.Errorf("%s: the field is said to be %q, want %q", body, param, c.param)
			}
		}
	}
	if response, body := s.do("GET", texts, ""); response.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %v: %s", response.Header, body)
	}
	response, body := s.do("POST", texts, `{}`, "Content-Encoding", "gzip")
	s.isError(response, body, 415, "gzip")
	if a := s.ask(texts, object{"prompt": []uint32{1, 2}, "max_tokens": 2, "ignore_eos": true, "user": "me",
		"logit_bias": object{}, "frequency_penalty": 0, "best_of": 1, "suffix": nil,
		"metadata": object{"a": "b"}}); a.Usage.Completion != 2 {
		t.Errorf("%+v", a)
	}
}

// Without a key everything is answered to this machine alone; with one to those who send it.
func TestWhoMayAsk(t *testing.T) {
	s := random(t, nil)
	for _, host := range []string{"evil.example:80", "evil.example", "127.0.0.1:1", "localhost"} {
		response, body := s.do("GET", "/v1/models", "", "Host", host)
		s.isError(response, body, 403, host)
	}
	port := s.at[strings.LastIndex(s.at, ":"):]
	for _, host := range []string{"localhost" + port, "[::1]" + port, s.at} {
		if response, body := s.do("GET", "/v1/models", "", "Host", host); response.StatusCode != 200 {
			t.Errorf("%s: %d %s", host, response.StatusCode, body)
		}
	}
	for _, headers := range [][]string{{"Origin", "http://evil.example"}, {"Sec-Fetch-Site", "cross-site"}} {
		response, body := s.do("POST", "/v1/completions", `{}`, headers...)
		s.isError(response, body, 403, "another origin")
	}
	if response, body := s.do("POST", "/tokenize", `{"prompt": "a"}`, "Origin", s.url); response.StatusCode != 200 {
		t.Errorf("the page's own origin: %d %s", response.StatusCode, body)
	}

	const key = "sk-Zk3~very/secret+key"
	s = random(t, func(c *serve.Config, _ *generate.Config) { c.Key = key })
	for _, path := range []string{"/v1/models", "/v1/models/small", "/v1/completions", "/v1/chat/completions",
		"/tokenize",
		"/detokenize", "/tokenizer_info", "/metrics"} {
		for _, given := range []string{"", key, "Bearer", "Bearer ", "Bearer " + key[1:], "Bearer " + key + "x",
			"Basic " + key,
			"Bearer " + strings.ToUpper(key)} {
			response, body := s.do("GET", path, "", "Authorization", given)
			s.isError(response, body, 401, "Bearer KEY")
			if strings.Contains(body, key) || response.Header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s, %q: %v %s", path, given, response.Header, body)
			}
		}
	}
	for path, want := range map[string]int{"/v1/models": 200, "/metrics": 200, "/v1/completions": 405, "/": 200} {
		if response, body := s.do("GET", path, ""); response.StatusCode != want || strings.Contains(body, key) {
			t.Errorf("%s with the key: %d", path, response.StatusCode)
		}
	}
	for _, path := range []string{"/health", "/"} {
		if response, _ := s.do("GET", path, "", "Authorization", ""); response.StatusCode != 200 {
			t.Errorf("%s without a key: %d", path, response.StatusCode)
		}
	}
}
