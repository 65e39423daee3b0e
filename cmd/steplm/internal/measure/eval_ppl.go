package measure

import (
	"cmp"
	"context"
	"fmt"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/data"
	"steplm/data/tokenizer"
	"steplm/internal/clock"
	"steplm/model"
	"steplm/stage/eval"
)

type evalPplCmd struct {
	flags.LoadFlags    `embed:""`
	flags.SpecialFlags `embed:""`
	Data               string `placeholder:"DIR|GLOB|FILE" help:"Parquet, JSON Lines or text files: token perplexity."`
	TextColumn         string `default:"text" placeholder:"NAME" help:"The column, or field, of --data and --unigram that holds the text. Default: ${default}."`
	Text               string `placeholder:"FILE" help:"A text file: token perplexity."`
	Wikitext           string `name:"wikitext" placeholder:"FILE" help:"WikiText, as wiki.test.raw or as Parquet: word perplexity as lm-evaluation-harness has it."`
	Unigram            string `placeholder:"DIR|GLOB|FILE" help:"Training shards: also measure on --data what their token frequencies alone would get."`
	Context            int    `placeholder:"N" help:"Positions per window. Default: what the run trained with, else the model's maximum."`
	Stride             int    `placeholder:"N" help:"Tokens from one window's start to the next (WikiText has its own windows). Default: the context."`
	BatchSize          int    `default:"8" placeholder:"N" range:"1..1e9" help:"Windows at once. Default: ${default}."`
	Mask               string `enum:",none,documents" default:"" placeholder:"MASK" help:"Whether attention crosses the documents of a window (none) or stays inside each (documents). Default: as the run trained, else none."`
	Positions          string `enum:",continue,restart" default:"" placeholder:"FROM" help:"Whether positions count from the window's first token (continue) or each document's (restart). Default: as the run trained, else continue."`
	MaxTokens          int64  `placeholder:"N" help:"Score only the first tokens of each. Default: all."`
	JSON               bool   `help:"Print JSON."`
}

func (c *evalPplCmd) Run(ctx context.Context) error {
	at, device, results, err := c.results(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return view.JSON(map[string]any{"model": at.Dir, "device": device, "results": results})
	}
	for _, r := range results {
		printResult(r)
	}
	return nil
}

// results measures, on a device whose name it returns.
func (c *evalPplCmd) results(ctx context.Context) (at flags.Found, device string, results []eval.Result, err error) {
	asked, at, err := c.prepare(ctx)
	if err != nil {
		return at, "", nil, err
	}
	size := model.Size{Batch: c.BatchSize, SeqLen: at.Window(c.Context)}
	size.Documents, err = model.Documents{Mask: cmp.Or(c.Mask, at.Documents.Mask),
		Positions: cmp.Or(c.Positions, at.Documents.Positions)}.Resolved()
	if err != nil {
		return at, "", nil, err
	}
	loaded, err := c.Load(at, size)
	if err != nil {
		return at, "", nil, err
	}
	defer loaded.Close()
	for _, task := range asked.tasks {
		r, err := c.measure(ctx, loaded.Eval, task)
		if err != nil {
			return at, "", nil, fmt.Errorf("%s: %w", task.Name(), err)
		}
		results = append(results, r)
	}
	if c.Unigram != "" {
		tok, err := c.tokenizer(at)
		if err != nil {
			return at, "", nil, err
		}
		r, err := Unigram(asked.unigram, asked.data, tok)
		if err != nil {
			return at, "", nil, err
		}
		results = append(results, r)
	}
	return at, loaded.Dev.Name(), results, nil
}

// asked is what is measured on.
type asked struct {
	tasks         []eval.Task
	data, unigram eval.Source // where they are given
}

// prepare checks the flags, and opens what is measured on.
func (c *evalPplCmd) prepare(ctx context.Context) (a asked, at flags.Found, err error) {
	if c.Data == "" && c.Text == "" && c.Wikitext == "" {
		return a, at, flags.Usagef("nothing to measure on: give --data, --text or --wikitext")
	}
	if c.Unigram != "" && c.Data == "" {
		return a, at, flags.Usagef("--unigram is measured on --data: give both")
	}
	if c.Stride > 0 && c.Data == "" && c.Text == "" {
		return a, at, flags.Usagef("--stride is for --data and --text: WikiText has its own windows")
	}
	if c.Context < 0 || c.Stride < 0 || c.MaxTokens < 0 {
		return a, at, flags.Usagef("--context %d, --stride %d and --max-tokens %d must be 1 or more", c.Context,
			c.Stride, c.MaxTokens)
	}
	wikitext := eval.Source{}
	for _, x := range []struct {
		to                 *eval.Source
		name, path, column string
	}{{&a.data, "data", c.Data, c.TextColumn}, {&a.unigram, "unigram", c.Unigram, c.TextColumn},
		{&wikitext, "wikitext", c.Wikitext, ""}} {
		*x.to = eval.Source{Name: x.name, Column: x.column}
		if x.to.Path, x.to.Files, err = flags.Local(ctx, c.JSON, x.path); err != nil {
			return a, at, err
		}
	}
	if at, err = c.Find(); err != nil {
		return a, at, err
	}
	tok, err := c.tokenizer(at)
	if err != nil {
		return a, at, err
	}
	a.tasks, err = openTasks(tok, a.data, eval.Source{Name: "text", Path: c.Text}, wikitext)
	return a, at, err
}

// tokenizer is the model's, with the special tokens that are named.
func (c *evalPplCmd) tokenizer(at flags.Found) (*tokenizer.Tokenizer, error) {
	return vocabularyOf(at, c.SpecialFlags)
}

// vocabularyOf is a model's tokenizer, with the special tokens that are named.
func vocabularyOf(at flags.Found, special flags.SpecialFlags) (*tokenizer.Tokenizer, error) {
	tok, err := at.LoadTokenizer()
	if err == nil {
		tok, err = at.Ends(tok, special.EOS)
	}
	if err == nil {
		tok, err = at.Begins(tok, special.BOS)
	}
	if err == nil {
		err = checkVocabulary(tok.VocabSize(), at.Layout.Config)
	}
	return tok, err
}

// openTasks opens those of what is measured on that are given, so that a wrong path shows before a model is
// loaded.
func openTasks(t data.Tokenizer, documents, text, wikitext eval.Source) (tasks []eval.Task, err error) {
	for _, m := range []struct {
		kind string
		on   eval.Source
	}{{"documents", documents}, {"text", text}, {"wikitext", wikitext}} {
		if m.on.Path == "" {
			continue
		}
		m.on.Tokenizer = t
		task, err := eval.Open(m.kind, m.on)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, task)
	}
	return tasks, nil
}

func (c *evalPplCmd) measure(ctx context.Context, m eval.Model, task eval.Task) (eval.Result, error) {
	p := view.NewProgress(view.ProgressOutput(c.JSON), task.Name(), shareUnits, "")
	defer p.Done()
	start := clock.Now()
	o := eval.Options{Stride: c.Stride, MaxTokens: c.MaxTokens}
	o.Progress = func(tokens int64, share float64) {
		if c.MaxTokens > 0 {
			share = max(share, float64(tokens)/float64(c.MaxTokens))
		}
		rate := view.Rate(float64(tokens) / clock.Since(start).Seconds())
		p.Say(view.Item{Long: rate + " tokens/s", Short: rate + "/s"}, view.Item{Long: view.Count(tokens) + " tokens"})
		p.Set(int64(share * shareUnits))
	}
	return task.Run(ctx, m, o)
}

// Unigram is the perplexity that the token frequencies of training shards get
// on held-out ones: what a model must beat.
func Unigram(train, held eval.Source, t data.Tokenizer) (eval.Result, error) {
	a, err := train.Rows()
	if err != nil {
		return eval.Result{}, err
	}
	b, err := held.Rows()
	if err != nil {
		return eval.Result{}, err
	}
	counts, err := data.CountTokens(a.Documents(data.Position{}), t)
	if err != nil {
		return eval.Result{}, err
	}
	p, tokens, err := data.UnigramPerplexity(counts, b.Documents(data.Position{}), t)
	return eval.PerplexityOf("unigram", p, tokens), err
}

// shareUnits is how finely a share of a set is shown.
const shareUnits = 1000

// printResult prints a perplexity with its protocol.
func printResult(r eval.Result) {
	n := func(metric string) string { return view.Count(r.Count(metric)) }
	switch p := r.Protocol; {
	case p.Unit == "word":
		fmt.Printf("%s: perplexity %.6g per word (whole pages, context %d; %s pages, %s words, %s tokens), "+
			"%.6g per byte, %.6g bits per byte\n",
			r.Task, r.Perplexity(), p.Context, n("pages"), n("words"), n("tokens"),
			r.Value("byte_perplexity"), r.Value("bits_per_byte"))
	case p.Context > 0:
		within := ""
		if p.Documents != (model.Documents{}) {
			within = ", attention " + p.Documents.Attention()
		}
		fmt.Printf("%s: perplexity %.6g per %s (context %d, stride %d%s; %s tokens, %s documents)\n",
			r.Task, r.Perplexity(), p.Unit, p.Context, p.Stride, within, n("tokens"), n("documents"))
	default:
		fmt.Printf("%s: perplexity %.6g per %s (%s tokens)\n", r.Task, r.Perplexity(), p.Unit, n("tokens"))
	}
}

// checkVocabulary refuses a tokenizer with ids that the model has no embedding
// for.
func checkVocabulary(ids int, c model.Config) error {
	if ids > c.Vocab {
		return fmt.Errorf("the tokenizer has %d ids, the model's vocabulary only %d: they do not belong together", ids,
			c.Vocab)
	}
	return nil
}
