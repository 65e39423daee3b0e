package session

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A name that no file can have is one of no model, whatever the system calls it.
func TestFindModelWithoutFile(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 300))
	for name, want := range map[string]string{
		long:                        "there is no such run or model",
		long + "@step-4":            "holds no run",
		t.TempDir() + "/a*b":        "there is no such run or model",
		t.TempDir() + "/a*b@step-4": "holds no run",
	} {
		if _, err := FindModel(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestSpecialIDsOfTheModel: a model's special ids are those of its own config.json, else of what its run left; a
// config.json beside the tokenizer that a run began with is of another model.
func TestSpecialIDsOfTheModel(t *testing.T) {
	folder := func(eos string) string {
		dir := t.TempDir()
		if eos != "" {
			text := `{"bos_token_id": 1, "eos_token_id": ` + eos + `}`
			if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	for _, c := range []struct {
		name string
		at   Trained
		eos  int // 0: none
	}{
		{"the model's own", Trained{Dir: folder("2"), Tokenizer: folder("3")}, 2},
		{"what the run left", Trained{Dir: folder(""), Tokenizer: folder("3")}, 3},
		{"another model's", Trained{Dir: folder(""), Tokenizer: folder("3"), TokenizerHash: "da7a"}, 0},
		{"none", Trained{Dir: folder("")}, 0},
	} {
		ids, err := c.at.SpecialIDs()
		text, textErr := c.at.carriedText()
		if err != nil || textErr != nil || (ids == nil) != (c.eos == 0) || ids != nil && *ids.EOS != c.eos ||
			(text.IDs == nil) != (ids == nil) {
			t.Errorf("%s: %+v, %v; grown it has %+v, %v", c.name, ids, err, text.IDs, textErr)
		}
	}
}
