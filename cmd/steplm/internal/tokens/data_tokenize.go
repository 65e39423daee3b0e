package tokens

import (
	"context"
	"fmt"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/data"
	"steplm/data/cache"
	"steplm/data/tokenizer"
	"steplm/gpu"
	"steplm/internal/clock"
	"steplm/stage/session"
)

type dataTokenizeCmd struct {
	Path              string `arg:"" help:"Data as pretrain takes them: a directory, a glob, a file or an hf:// source."`
	Tokenizer         string `required:"" placeholder:"PATH" help:"tokenizer.json, a SentencePiece .model, or a directory with one or with vocab.json and merges.txt."`
	flags.FilterFlags `embed:""`
	flags.SourceFlags `embed:""`
	flags.TokenFlags  `embed:""`
	JSON              bool `name:"json" help:"Print JSON."`
}

// Help says what it is good for.
func (c *dataTokenizeCmd) Help() string {
	return "Writes the ids of all documents into a cache, which pretrain with the same data, filters and tokenizer " +
		"then uses instead of tokenizing. " +
		"The batches are the same. Interrupted, it goes on where it stopped; of a complete cache it checks every " +
		"byte and makes damaged parts again."
}

func (c *dataTokenizeCmd) Run(ctx context.Context) error {
	spec, err := flags.SpecOf(c)
	if err != nil {
		return flags.AsUsage(err)
	}
	spec.Data.Train = []string{c.Path}
	if err := spec.Data.Check(); err != nil {
		return flags.AsUsage(err)
	}
	return Tokenize(ctx, spec.Data, c.Path, c.JSON)
}

// Tokenize keeps the ids of one source of data in their cache, and prints what it found.
func Tokenize(ctx context.Context, d session.Data, path string, json bool) error {
	root := d.CacheRoot()
	if root == "" {
		return flags.Usagef("no place for the cache: this user has no cache directory; give --cache")
	}
	loaded, err := tokenizer.Load(d.Tokenizer)
	if err != nil {
		return err
	}
	tok, err := d.Documents(loaded)
	if err != nil {
		return flags.AsUsage(err)
	}
	at, err := session.Locate(ctx, path, d.Shards, false, flags.SessionUI(json))
	if err != nil {
		return flags.AsUsage(err)
	}
	shards, err := d.Open(at)
	if err != nil {
		return err
	}
	bar := view.NewProgress(view.ProgressOutput(json), "tokenize", shards.Rows(), "rows")
	start := clock.Now()
	done, err := data.Tokenize(ctx, shards, tok, data.CacheDir(root, shards, tok), cache.Options{
		Workers: d.Threads(),
		Progress: func(rows, _, tokens int64) {
			bar.Describe(fmt.Sprintf("%s tokens, %.0f tokens/s", view.Count(tokens),
				float64(tokens)/clock.Since(start).Seconds()))
			bar.Set(rows)
		},
	})
	bar.Done()
	if err != nil {
		return err
	}
	i := done.Info
	names := tok.Names()
	if json {
		return view.JSON(struct {
			Dir       string  `json:"dir"`
			Data      string  `json:"data"`
			Tokenizer string  `json:"tokenizer"`
			Rows      int64   `json:"rows"`
			Documents int64   `json:"documents"`
			TextBytes int64   `json:"text_bytes"`
			Tokens    int64   `json:"tokens"`
			Width     int     `json:"bytes_per_id"`
			Parts     int     `json:"parts"`
			Reused    int     `json:"reused_parts"`
			Seconds   float64 `json:"seconds"`
			Names     int64   `json:"special_names"`
			data.Dropped
		}{done.Dir, i.Data, loaded.Hash(), i.Rows, i.Documents, i.TextBytes, i.Tokens, i.Width, len(
			i.Parts), done.Reused, clock.Since(start).Seconds(), names, i.Dropped})
	}
	fmt.Println(tok.Around())
	fmt.Println(flags.DescribeDropped(i.Rows, i.Documents, i.Dropped, shards.BadFiles()))
	fmt.Printf("%s: %s tokens of %s of text, %d bytes each, in %d parts", done.Dir, view.Count(i.Tokens),
		gpu.Bytes(i.TextBytes), i.Width, len(i.Parts))
	if done.Reused > 0 {
		fmt.Printf(" (%d were there)", done.Reused)
	}
	fmt.Println()
	if names > 0 {
		fmt.Println(flags.DescribeNames(names))
	}
	return nil
}
