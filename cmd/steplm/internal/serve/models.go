package serve

import "net/http"

// model is one of /v1/models.
type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Owner   string `json:"owned_by"`
	Context int    `json:"max_model_len"`        // as vLLM has it
	Added   int    `json:"max_tokens,omitempty"` // that may be added to a text; 0: as many as fit
}

func (s *Server) model() model {
	return model{s.name, "model", s.made.Unix(), "steplm", s.context, s.MaxTokens}
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": []model{s.model()}})
	return nil
}

func (s *Server) oneModel(w http.ResponseWriter, r *http.Request) error {
	if err := s.check(&asked{Model: r.PathValue("model")}); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, s.model())
	return nil
}

// health answers whether texts are made.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	if s.engine.State().Closed {
		return failure(http.StatusServiceUnavailable, unavailable, "ending", "%s", errStopped)
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	return nil
}
