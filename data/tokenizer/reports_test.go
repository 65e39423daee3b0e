package tokenizer

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"steplm/data/datatest"
)

// Tokenizers of today's runs, after public bug reports, give the ids of Hugging Face's library.
func TestReportedTokenizers(t *testing.T) {
	const text = "Year 2024: it's 12345 😀"
	for name, want := range map[string][]uint32{
		"tok_smollm":         {59, 293, 223, 20, 18, 20, 22, 28, 340, 276, 223, 19, 20, 21, 22, 23, 336, 249, 225},
		"tok_nanochat":       {58, 308, 222, 287, 288, 27, 356, 276, 222, 283, 289, 22, 352, 248, 224},
		"tok_mistral_tekken": {59, 298, 223, 20, 18, 20, 22, 28, 346, 277, 223, 19, 20, 21, 22, 23, 342, 249, 225},
		"tok_deepseek3":      {58, 306, 222, 287, 21, 27, 353, 276, 222, 375, 289, 349, 248, 224},
		"tok_falcon":         {57, 297, 221, 279, 20, 26, 342, 7, 83, 221, 362, 281, 338, 247, 223},
		"tok_noalphabet":     {28, 14, 18, 2, 2, 21, 16, 15, 39, 18},
		"tok_phi3":           nil,
		"tok_trunc_pad":      nil,
	} {
		tok := mustLoad(t, datatest.Path(t, "reports/"+name+".json"))
		if got := encode(t, tok, text); want != nil && !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// Hashes are in the recipes of runs and the names of caches: they stay what they were.
func TestHashesStay(t *testing.T) {
	var want map[string]string
	if err := json.Unmarshal([]byte(readFile(t, "testdata/hashes.json")), &want); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"piece model": mustLoad(t, pieceModelPath).Hash()}
	for _, v := range loadCases(t).Variants {
		got["byte-level "+v.Name] = mustLoad(t, patched(t, v.Patch)).Hash()
	}
	for _, v := range loadPieceCases(t).Variants {
		got["pieces "+v.Name] = mustLoad(t, patchedPieces(t, v.Patch)).Hash()
	}
	if len(want) < len(got) {
		t.Errorf("%d hashes, want %d", len(want), len(got))
	}
	for name, path := range map[string]string{"GPT-2": "tokenizers/gpt2",
		"GPT-NeoX": "tokenizers/neox/20B_tokenizer.json", "Llama 2": "tokenizers/llama2/tokenizer.model"} {
		if file := datatest.Path(t, "tokenizers"); file != "" {
			got[name] = mustLoad(t, filepath.Join(filepath.Dir(file), path)).Hash()
		}
	}
	for name, hash := range got {
		if want[name] != hash {
			t.Errorf("%s: hash %s, before %s", name, hash, want[name])
		}
	}
}
