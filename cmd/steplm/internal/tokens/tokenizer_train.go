package tokens

import (
	"context"
	"fmt"
	"iter"
	"os"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/data/tokenizer"
	"steplm/gpu"
	"steplm/stage/eval"
)

// TokenizerTrainCmd trains a tokenizer.
type TokenizerTrainCmd struct {
	Data       string `required:"" placeholder:"DIR|GLOB|FILE" help:"Parquet, JSON Lines (hf:// sources too) or text files."`
	TextColumn string `default:"text" placeholder:"NAME" help:"The column, or field, that holds the text. Default: ${default}."`
	Vocab      int    `required:"" placeholder:"N" range:"1..1e8" help:"Vocabulary size: <|endoftext|>, 256 bytes and merges together."`
	Out        string `required:"" placeholder:"FILE" help:"The tokenizer.json to write."`
	MaxBytes   int64  `default:"100000000" placeholder:"N" help:"Read no more text than this, in whole documents; 0: all. Default: ${default}."`
}

// NewTokenizerTrain is the command as it is given with no other flags.
func NewTokenizerTrain(data, column string, vocab int, out string) *TokenizerTrainCmd {
	return &TokenizerTrainCmd{Data: data, TextColumn: column, Vocab: vocab, Out: out, MaxBytes: 100_000_000}
}

// Run is the command.
func (c *TokenizerTrainCmd) Run(ctx context.Context) error {
	if c.MaxBytes < 0 {
		return flags.Usagef("--max-bytes %d: it must be 0 (all) or more", c.MaxBytes)
	}
	if err := flags.Writable(c.Out); err != nil { // before work that it would lose
		return fmt.Errorf("--out: %w", err)
	}
	at, files, err := flags.Local(ctx, false, c.Data)
	if err != nil {
		return err
	}
	texts, err := eval.Texts(eval.Source{Path: at, Files: files, Column: c.TextColumn})
	if err != nil {
		return err
	}
	var read sample
	reading := view.NewProgress(os.Stderr, "read", 0, "documents")
	merging := view.NewProgress(os.Stderr, "merge", int64(c.Vocab), "tokens")
	defer merging.Done()
	t, err := tokenizer.Train(read.limit(ctx, texts, c.MaxBytes, reading), tokenizer.TrainOptions{
		VocabSize: c.Vocab,
		Progress:  func(done, _ int) { merging.Set(int64(done)) },
	})
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.Save(c.Out); err != nil {
		return err
	}
	fmt.Printf("%s: %d tokens, learnt from %s, %s of text\n", c.Out, t.VocabSize(),
		view.Plural(read.documents, "document", "documents"), gpu.Bytes(read.bytes))
	if t.VocabSize() < c.Vocab {
		fmt.Printf("the text has no more pairs to merge: the vocabulary is %d below the %d asked for\n",
			c.Vocab-t.VocabSize(), c.Vocab)
	}
	return nil
}

// sample is the text that was read.
type sample struct{ documents, bytes int64 }

// limit ends texts after the one that reaches maxBytes (0: never), or with the
// context.
func (s *sample) limit(ctx context.Context, texts iter.Seq2[string, error], maxBytes int64,
	p *view.Progress) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		defer p.Done()
		for text, err := range texts {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield("", err)
				return
			}
			s.documents++
			s.bytes += int64(len(text))
			p.Describe(gpu.Bytes(s.bytes))
			p.Set(s.documents)
			if !yield(text, nil) || (maxBytes > 0 && s.bytes >= maxBytes) {
				return
			}
		}
	}
}
