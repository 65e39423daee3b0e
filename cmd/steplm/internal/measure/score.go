package measure

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/data/tokenizer"
	"steplm/model"
	"steplm/stage/eval"
)

type ScoreCmd struct {
	flags.LoadFlags `embed:""`
	IDs             []uint32 `name:"ids" xor:"input" required:"" placeholder:"N" help:"Token ids to score."`
	Text            *string  `xor:"input" required:"" placeholder:"TEXT" help:"Text to score. Where the tokenizer itself begins texts with a token, that token comes first."`
	AddSpecial      bool     `help:"Add what the tokenizer puts before and after a text."`
	JSON            bool     `help:"Print one JSON object with ids and logprobs, natural logarithms, the first null."`
}

func (c *ScoreCmd) Run() error {
	if c.AddSpecial && c.Text == nil {
		return flags.Usagef("--add-special is for --text: ids are scored as they are")
	}
	at, err := c.Find()
	if err != nil {
		return err
	}
	ids, tok, err := c.input(at)
	if err != nil {
		return err
	}
	for i, id := range ids {
		if int64(id) >= int64(at.Layout.Vocab) {
			return fmt.Errorf("id %d at position %d is not below the model's vocabulary of %d", id, i, at.Layout.Vocab)
		}
	}
	most := at.Layout.MaxSeqLen
	if n := len(ids); n < 1 || n > most+1 {
		return fmt.Errorf("%d tokens to score: 1 to %d can be, for the model has %d positions and predicts one more", n,
			most+1, most)
	}
	l, err := c.Load(at, model.Size{Batch: 1, SeqLen: min(len(ids), most)})
	if err != nil {
		return err
	}
	defer l.Close()
	logprobs, err := eval.ScoreText(l.Eval, ids)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(struct {
			IDs      []uint32      `json:"ids"`
			LogProbs eval.LogProbs `json:"logprobs"`
		}{ids, logprobs})
	}
	return printScores(ids, logprobs, tok)
}

// input is the ids to score. With ids given a tokenizer only shows them as
// text: one that was not asked for may be missing.
func (c *ScoreCmd) input(at flags.Found) ([]uint32, *tokenizer.Tokenizer, error) {
	if c.Text == nil && c.Tokenizer == "" {
		return c.IDs, nil, nil
	}
	tok, err := at.LoadTokenizer()
	if err != nil {
		return nil, nil, err
	}
	if err := checkVocabulary(tok.VocabSize(), at.Layout.Config); err != nil {
		return nil, nil, err
	}
	switch {
	case c.Text == nil:
		return c.IDs, tok, nil
	case c.AddSpecial:
		ids, err := tok.EncodeWithSpecial(*c.Text)
		return ids, tok, err
	}
	ids, err := tok.Encode(*c.Text)
	if id, ok := tok.BeginOfText(); ok { // as documents begin in training
		ids = append([]uint32{id}, ids...)
	}
	return ids, tok, err
}

func printScores(ids []uint32, logprobs eval.LogProbs, tok *tokenizer.Tokenizer) error {
	rows := [][]string{{"position", "id", "log p"}}
	if tok != nil {
		rows[0] = append(rows[0], "token")
	}
	sum := 0.0
	for i, id := range ids {
		p := "-"
		if !math.IsNaN(logprobs[i]) {
			p = fmt.Sprintf("%.4f", logprobs[i])
			sum += logprobs[i]
		}
		row := []string{strconv.Itoa(i), strconv.FormatUint(uint64(id), 10), p}
		if tok != nil {
			piece, err := tok.Decode([]uint32{id})
			if err != nil {
				piece = "(not in the tokenizer)"
			}
			row = append(row, strconv.Quote(piece))
		}
		rows = append(rows, row)
	}
	view.Table(os.Stdout, 0, rows)
	fmt.Printf("sum of %d log-probabilities: %.4f\n", len(ids)-1, sum)
	return nil
}
