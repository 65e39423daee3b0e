package export

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// sentencePiece is a BPE over runes that falls back to bytes, such as Llama 2's. GGUF files have a score of each token
// in place of ranked merges: of two neighbours that are a token together, those of the highest score become it.
func (v *ggufVocabulary) sentencePiece(file tokenizerJSON) error {
	v.model = "llama"
	if err := v.spaces(file); err != nil {
		return err
	}
	if v.squeeze {
		return unsayable("it makes one of several spaces, which a BPE there does not")
	}
	for b := range 256 {
		id := slices.Index(v.tokens, fmt.Sprintf("<0x%02X>", b))
		if id < 0 {
			return unsayable("it has no token <0x%02X> to fall back to", b)
		}
		v.types[id] = tokenByte
	}
	unk := "<unk>"
	if file.Model.Unk != nil {
		unk = *file.Model.Unk
	}
	if id := slices.Index(v.tokens, unk); id >= 0 {
		v.types[id], v.unk = tokenUnknown, &id
	}
	return v.score(file.Model.Merges)
}

// score gives each token a score, by which merges come in the order of their ranks, or says which do not.
func (v *ggufVocabulary) score(merges [][2]string) error {
	ids := make(map[string]int, len(v.tokens))
	for id, token := range v.tokens {
		ids[token] = id
	}
	ranked := make(map[[2]string]bool, len(merges))
	made := []int{} // what merges make, in their order
	seen := map[int]bool{}
	for rank, m := range merges {
		whole := ids[m[0]+m[1]]
		ranked[m] = true
		if len(made) > 0 && made[len(made)-1] == whole {
			continue
		}
		if seen[whole] {
			return unsayable("its merge %d makes %q, as does an earlier one with others between, which no score of a "+
				"token says", rank, m[0]+m[1])
		}
		made, seen[whole] = append(made, whole), true
	}
	normal := func(text string) bool {
		id, ok := ids[text]
		return ok && v.types[id] == tokenNormal
	}
	for _, token := range v.tokens {
		for at := range token {
			left, right := token[:at], token[at:]
			if at > 0 && normal(token) && normal(left) && normal(right) && !ranked[[2]string{left, right}] {
				return unsayable("its tokens %q and %q are %q together, which no merge makes of them: by scores they "+
					"would become it", left, right, token)
			}
		}
	}
	v.scores = make([]float32, len(v.tokens))
	if slices.IsSorted(made) { // As SentencePiece numbers them: by the places among the normal tokens.
		first := slices.Index(v.types, tokenNormal)
		for id, kind := range v.types {
			if kind == tokenNormal {
				v.scores[id] = float32(first - id)
			}
		}
		return nil
	}
	for id, token := range v.tokens {
		if v.types[id] == tokenNormal && utf8.RuneCountInString(token) == 1 {
			v.scores[id] = -float32(len(made))
		}
	}
	for rank, id := range made {
		v.scores[id] = -float32(rank)
	}
	return nil
}

// unigram is SentencePiece's model of pieces with log-probabilities.
func (v *ggufVocabulary) unigram(file tokenizerJSON) error {
	v.model = "t5"
	if err := v.spaces(file); err != nil {
		return err
	}
	if v.squeeze && !v.prefix {
		return unsayable("it makes one of several spaces and puts none before a text, which only go together there")
	}
	var pieces []struct {
		text  string
		score float32
	}
	var list [][2]json.RawMessage
	if err := json.Unmarshal(file.Model.Vocab, &list); err != nil {
		return err
	}
	for _, pair := range list {
		var p struct {
			text  string
			score float32
		}
		if err := json.Unmarshal(pair[0], &p.text); err != nil {
			return err
		}
		if err := json.Unmarshal(pair[1], &p.score); err != nil {
			return err
		}
		pieces = append(pieces, p)
	}
	v.scores = make([]float32, len(v.tokens))
	for id, p := range pieces {
		v.scores[id] = p.score
		if strings.HasPrefix(p.text, "<0x") && len(p.text) == len("<0x00>") && file.Model.ByteFallback {
			v.types[id] = tokenByte
		}
	}
	if file.Model.ByteFallback {
		v.notes = append(v.notes, "llama.cpp's Unigram does not fall back to bytes: characters without a token are "+
			"the unknown token there")
	}
	if v.unk = file.Model.UnkID; v.unk == nil {
		return unsayable("its model Unigram has no token for the unknown (unk_id)")
	}
	v.types[*v.unk] = tokenUnknown
	return nil
}
