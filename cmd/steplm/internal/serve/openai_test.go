package serve_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/serve"
	"steplm/data/datatest"
	"steplm/model/generate"
)

// The official openai package reads every kind of answer. STEPLM_OPENAI names a Python that has it.
func TestOpenAIPackage(t *testing.T) {
	python := os.Getenv("STEPLM_OPENAI")
	if python == "" {
		t.Skip("STEPLM_OPENAI names no Python that has openai")
	}
	s := stories(t, func(c *serve.Config, _ *generate.Config) { c.Key = "sk-of-a-test" })
	out, err := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "openai_client.py"), s.url,
		s.key).CombinedOutput()
	var says struct {
		Version, Text, Finish, Stream, Chat, Extra string
		Models, Tokens, Several                    []string
		Top, Usage                                 int
		ChatTokens                                 []string `json:"chat_tokens"`
		ChatStream                                 string   `json:"chat_stream"`
		ChatUsage                                  int      `json:"chat_usage"`
		Refusals                                   map[string][]any
	}
	if err != nil || json.Unmarshal(out, &says) != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("openai %s", says.Version)
	x := goldens(t)[0]
	first, _ := strings.CutPrefix(x.Text, x.Prompt)
	if !strings.HasPrefix(first, says.Text) || says.Text == "" || says.Stream != says.Text || says.Extra != says.Text ||
		strings.Join(says.Tokens, "") != says.Text || says.Top != 12 || says.Finish != "length" || says.Usage != 17 {
		t.Errorf("completions: %s", out)
	}
	if len(says.Several) != 4 || says.Several[0] != says.Text || says.Several[1] != says.Text ||
		says.Several[2] != says.Several[3] {
		t.Errorf("several: %q", says.Several)
	}
	if says.Chat == "" || says.ChatStream != says.Chat || strings.Join(says.ChatTokens, "") != says.Chat ||
		says.ChatUsage != 12 || !slices.Equal(says.Models, []string{"small"}) {
		t.Errorf("conversations: %s", out)
	}
	want := "map[no such model:[NotFoundError 404] too large:[APIStatusError 413] too long:[BadRequestError 400] " +
		"wrong key:[AuthenticationError 401]]"
	if got := fmt.Sprint(says.Refusals); got != want {
		t.Errorf("refusals %s, want %s", got, want)
	}
}

// lm-evaluation-harness scores the same through the server as through transformers. STEPLM_LM_EVAL names a Python that
// has lm_eval, transformers and torch.
func TestLMEvaluationHarness(t *testing.T) {
	python := os.Getenv("STEPLM_LM_EVAL")
	if python == "" {
		t.Skip("STEPLM_LM_EVAL names no Python that has lm_eval")
	}
	s := stories(t, nil)
	out, err := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "lm_eval_client.py"), s.url,
		datatest.Path(t, "models/stories260K"), datatest.Path(t, "generate/tokenizer")).Output()
	var says struct {
		Version string
		// Of each way to tokenize: log-likelihoods and whether greedy, beside transformers'.
		Ours, Theirs, Remote [][2]float64
		Generated            []string
	}
	if err != nil || json.Unmarshal(out, &says) != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(says.Ours) < 8 || len(says.Ours) != len(says.Theirs) || len(says.Remote) != len(says.Ours) {
		t.Fatalf("%s", out)
	}
	worst, greedy := 0.0, 0
	for i, ours := range says.Ours {
		worst = max(worst, ours[0]-says.Theirs[i][0], says.Theirs[i][0]-ours[0])
		greedy += int(ours[1])
		if ours[1] != says.Theirs[i][1] || says.Remote[i] != ours {
			t.Errorf("request %d: %v, with the server's tokenizer %v, transformers %v", i, ours, says.Remote[i],
				says.Theirs[i])
		}
	}
	if worst > 1e-3 || greedy == 0 || greedy == len(says.Ours) {
		t.Errorf("log-likelihoods differ by %g; %d of %d are greedy", worst, greedy, len(says.Ours))
	}
	t.Logf("lm_eval %s: %d log-likelihoods differ by at most %.2g from transformers'; %d are greedy", says.Version,
		len(says.Ours), worst, greedy)
	x := goldens(t)[0]
	if len(says.Generated) == 0 || !strings.HasPrefix(x.Text, x.Prompt+says.Generated[0]) || says.Generated[0] == "" {
		t.Errorf("generated %q", says.Generated)
	}
}
