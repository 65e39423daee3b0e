package speak

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"steplm/cmd/steplm/internal/view"
)

// mostShown is how many tokens of a distribution people are shown.
const mostShown = 64

// distribution prints the next token's probabilities, the likeliest first.
func (s *Speaker) distribution(j job, asJSON bool) error {
	logits, err := s.Gen.Logits(j.prompt)
	if err != nil {
		return err
	}
	var banned []uint32
	if j.MinTokens > 0 {
		banned = s.Ends
	}
	list, err := j.Config.Distribution(logits, j.prompt, banned)
	if err != nil {
		return err
	}
	if asJSON {
		all := struct {
			IDs   []uint32  `json:"ids"`
			Probs []float64 `json:"probs"`
		}{}
		for _, p := range list {
			all.IDs, all.Probs = append(all.IDs, p.ID), append(all.Probs, p.P)
		}
		return json.NewEncoder(os.Stdout).Encode(all)
	}
	rows := [][]string{{"id", "p"}}
	if s.Tok != nil {
		rows[0] = append(rows[0], "token")
	}
	for _, p := range list[:min(len(list), mostShown)] {
		row := []string{strconv.FormatUint(uint64(p.ID), 10), fmt.Sprintf("%.6f", p.P)}
		if s.Tok != nil {
			piece, err := s.Tok.Decode([]uint32{p.ID})
			if err != nil {
				piece = "(not in the tokenizer)"
			}
			row = append(row, strconv.Quote(piece))
		}
		rows = append(rows, row)
	}
	view.Table(os.Stdout, 0, rows)
	if more := len(list) - mostShown; more > 0 {
		fmt.Printf("and %s\n", view.Plural(int64(more), "token that is less likely", "tokens that are less likely"))
	}
	return nil
}
