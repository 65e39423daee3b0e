package flags

import (
	"context"
	"fmt"

	"steplm/cmd/steplm/internal/view"
	"steplm/data"
	"steplm/stage/session"
)

// FilterFlags say which rows of the training data are read.
type FilterFlags struct {
	TextColumn string   `default:"${text_column}" placeholder:"NAME" help:"The column, or field, that holds the text. Default: ${default}."`
	MinScore   *float64 `placeholder:"X" help:"Least value of the column score, such as 3 in FineWeb-Edu."`
	Language   []string `placeholder:"CODE" help:"Values of the column language to keep, such as en; several with commas."`
	MinChars   int64    `placeholder:"N" range:"0..1e15" help:"Least number of characters of a document."`
	MaxChars   int64    `placeholder:"N" range:"0..1e15" help:"Largest number of characters of a document."`
	Dedupe     bool     `help:"Leave out texts that came before, in file order, among the last 8 million or so (128 MiB). Without a token cache all text is read once more for it."`
	Holdout    float64  `placeholder:"SHARE" range:"0..1" help:"Keep this share of the documents apart, such as 0.005, by the hash of their text; pretrain measures perplexity on them. A document stays where it is when data are added."`
	SkipBad    bool     `help:"Skip damaged row groups, lines and files, count and name them, instead of stopping. Reads each row group twice the first time."`
	MaxLine    ByteSize `placeholder:"SIZE" help:"Most bytes of a line of JSON Lines, or of a text file; reading takes the largest twice. Default: 256MiB."`
}

// SourceFlags say how much of an hf:// source is taken.
type SourceFlags struct {
	Shards int `placeholder:"N" range:"0..1e9" help:"Of hf:// sources only the first so many files by name."`
}

// TokenFlags say how ids come about.
type TokenFlags struct {
	Cache   string `placeholder:"DIR" help:"Where token caches are. Default: steplm/tokens in the user's cache directory."`
	Workers int    `placeholder:"N" range:"1..1e5" help:"Threads that tokenize. Default: one for each core."`
	// Without it, whoever writes a document could end it in the middle, or speak for the user.
	ParseSpecial   bool   `help:"Take the names of special tokens written out in documents, such as <|endoftext|>, for these tokens; by default they are ordinary text."`
	DocumentTokens string `default:"${document_tokens}" placeholder:"KIND" help:"What stands around each document: eos (an end), bos-eos (a beginning too), none, or auto: a beginning where the tokenizer's own post-processor puts one or --bos names one. Default: ${default}."`
	SpecialFlags   `embed:""`
}

// SpecialFlags choose the tokens around texts.
type SpecialFlags struct {
	EOS string `name:"eos" placeholder:"TOKEN" help:"The token that ends a text, by its text or id. Default: what the files beside the tokenizer say, else its post-processor and special tokens."`
	BOS string `name:"bos" placeholder:"TOKEN" help:"The token that begins a text, by its text or id. Default: what the tokenizer's post-processor puts first."`
}

// DescribeDropped says what became of rows.
func DescribeDropped(rows, documents int64, d data.Dropped, badFiles int) string {
	text := fmt.Sprintf("%s read: %s, %s null, %s skipped, %s filtered", view.Plural(rows, "row", "rows"),
		view.Plural(documents, "document", "documents"), view.Count(d.Nulls), view.Count(d.Skipped),
		view.Count(d.Filtered()))
	if d.Filtered() > 0 {
		text += fmt.Sprintf(" (%s by score, %s by language, %s short, %s long, %s held out, %s duplicates)",
			view.Count(d.LowScore), view.Count(d.Language), view.Count(d.Short), view.Count(d.Long), view.Count(
				d.HeldOut), view.Count(d.Duplicate))
	}
	if badFiles > 0 {
		text += "; " + view.Plural(int64(badFiles), "file", "files") + " skipped"
	}
	return text
}

// DescribeNames says what became of the names of special tokens in documents.
func DescribeNames(names int64) string {
	return fmt.Sprintf("the name of a special token stands in documents %s times: ordinary text, since nobody knows "+
		"who wrote it (--parse-special takes it for the token)", view.Count(names))
}

// DescribeRows says what became of the rows that a run read.
func DescribeRows(s data.Stats, badFiles int) string {
	return DescribeDropped(s.Rows, s.Documents, s.Dropped, badFiles) + fmt.Sprintf("; %s tokens seen, in epoch %d",
		view.Count(s.Tokens), s.Epoch+1)
}

// Local is a path, or of an hf:// source the directory where its files are in the cache, and these files.
func Local(ctx context.Context, json bool, path string) (at string, files []string, err error) {
	if at, files, err = session.Local(ctx, path, SessionUI(json)); err != nil {
		err = AsUsage(err)
	}
	return at, files, err
}
