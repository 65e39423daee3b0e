package serve

import (
	"net/http"

	"steplm/data/chat"
)

// What a client needs that counts tokens itself and has no tokenizer, as vLLM has it: lm-evaluation-harness for one.

func (s *Server) tokenizerInfo(w http.ResponseWriter, _ *http.Request) error {
	info := map[string]any{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": s.context,
		"bos_token": nil, "eos_token": nil}
	if id, ok := s.voice.Tok.BeginOfText(); ok {
		info["bos_token"] = s.voice.Tok.Name(id)
	}
	if len(s.voice.Ends) > 0 {
		info["eos_token"] = s.voice.Tok.Name(s.voice.Ends[0])
	}
	if t, ok := s.manner.Format.(*chat.Template); ok {
		info["chat_template"] = t.Source()
	}
	writeJSON(w, http.StatusOK, info)
	return nil
}

func (s *Server) tokenize(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Model            string  `json:"model"`
		Prompt           *string `json:"prompt"`
		AddSpecialTokens *bool   `json:"add_special_tokens"` // true
	}
	if err := s.readBody(w, r, &q); err != nil {
		return err
	}
	if err := s.check(&asked{Model: q.Model}); err != nil {
		return err
	}
	if q.Prompt == nil {
		return wrong("prompt", "there is no prompt: a string is needed")
	}
	encode := s.voice.Encode
	if q.AddSpecialTokens != nil && !*q.AddSpecialTokens {
		encode = s.voice.Tok.Encode
	}
	ids, err := encode(*q.Prompt)
	if err != nil {
		return wrong("prompt", "%s", err)
	}
	if ids == nil {
		ids = []uint32{}
	}
	writeJSON(w, http.StatusOK, map[string]any{"tokens": ids, "count": len(ids), "max_model_len": s.context})
	return nil
}

func (s *Server) detokenize(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Model  string   `json:"model"`
		Tokens []uint32 `json:"tokens"`
	}
	if err := s.readBody(w, r, &q); err != nil {
		return err
	}
	if err := s.check(&asked{Model: q.Model}); err != nil {
		return err
	}
	text, err := s.voice.Tok.Decode(q.Tokens)
	if err != nil {
		return wrong("tokens", "%s", err)
	}
	writeJSON(w, http.StatusOK, map[string]string{"prompt": text})
	return nil
}
