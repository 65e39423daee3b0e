package speak

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"steplm/cmd/steplm/internal/flags"
	"steplm/model/generate"
)

type GenerateCmd struct {
	Flags       `embed:""`
	Prompt      *string  `xor:"input" placeholder:"TEXT" help:"The text to continue. Default: standard input."`
	IDs         []uint32 `name:"ids" xor:"input" placeholder:"N" help:"Token ids to continue, as they are."`
	File        string   `xor:"input" placeholder:"FILE" help:"A file with the text to continue."`
	Batch       string   `xor:"input" placeholder:"FILE" help:"JSON Lines, each an object with prompt or ids, and what is otherwise than the flags say: max_tokens, min_tokens, stop, temperature, top_k, top_p, min_p, repetition_penalty, seed. One line of JSON comes for each, in order; '-' is standard input."`
	MaxTokens   int      `default:"128" placeholder:"N" range:"0..1e9" help:"Tokens to add, at most. Default: ${default}."`
	MinTokens   int      `placeholder:"N" range:"0..1e9" help:"As long as there are fewer, the text does not end by itself. Default: 0."`
	SampleFlags `embed:""`
	Stop        []string `sep:"none" placeholder:"TEXT" help:"End where this comes; it is not printed. May be given several times."`
	Slots       int      `default:"8" placeholder:"N" range:"1..65536" help:"With --batch, texts at once. Default: ${default}."`

	Distribution bool `help:"Print the probabilities of the next token after all of that, and add none."`
	JSON         bool `help:"Print one JSON object: ids and text of what was added, finish_reason (length, stop or eos) and logprobs, natural logarithms; with --distribution, ids and probs."`
}

func (c *GenerateCmd) Run(ctx context.Context) error {
	if c.Distribution && c.Batch != "" {
		return flags.Usagef("--distribution is of one text: give no --batch")
	}
	defaults, err := c.defaults()
	if err != nil {
		return err
	}
	v, err := c.Find(c.IDs == nil && c.Batch == "" || len(c.Stop) > 0)
	if err != nil {
		return err
	}
	jobs, err := c.jobs(ctx, v, defaults)
	if err != nil {
		return err
	}
	config, work := c.room(v, jobs)
	s, err := v.Open(ctx, config, work, c.JSON || c.Batch != "")
	if err != nil {
		return err
	}
	defer s.Close()
	switch {
	case c.Distribution:
		return s.distribution(jobs[0], c.JSON)
	case c.Batch != "":
		return s.batch(ctx, jobs, os.Stdout)
	}
	return s.one(ctx, jobs[0], c.JSON)
}

// defaults is what the flags ask for.
func (c *GenerateCmd) defaults() (asked, error) {
	s, err := c.config()
	return asked{MaxTokens: c.MaxTokens, MinTokens: c.MinTokens, Stop: c.Stop, Config: s}, err
}

// mostInput bounds what is read of prompts.
const mostInput = 64 << 20

// beside is what a read gives, unless ctx ends before: a read of standard input cannot be interrupted.
func beside[T any](ctx context.Context, read func() (T, error)) (got T, err error) {
	done := make(chan struct{})
	var there T
	var failed error
	go func() {
		there, failed = read()
		close(done)
	}()
	select {
	case <-done:
		return there, failed
	case <-ctx.Done():
		return got, ctx.Err()
	}
}

// readAll reads a file, or with "-" standard input.
func readAll(ctx context.Context, path string) ([]byte, error) {
	in := os.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := beside(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, mostInput+1)) })
	if err == nil && len(text) > mostInput {
		err = fmt.Errorf("%s has more than %d bytes: no prompt is so long", path, mostInput)
	}
	return text, err
}

// job is a text to be continued.
type job struct {
	asked
	prompt []uint32
}

// jobs lists what is asked for.
func (c *GenerateCmd) jobs(ctx context.Context, v Voice, defaults asked) ([]job, error) {
	if c.Batch != "" {
		return c.batchJobs(ctx, v, defaults)
	}
	defaults.IDs, defaults.Prompt = c.IDs, c.Prompt
	if c.IDs == nil && c.Prompt == nil {
		path := c.File
		if path == "" {
			if path = "-"; term.IsTerminal(int(os.Stdin.Fd())) {
				return nil, flags.Usagef("nothing to continue: give --prompt, --ids, --file or --batch, or text on " +
					"standard input")
			}
		}
		text, err := readAll(ctx, path)
		if err != nil {
			return nil, err
		}
		prompt := strings.TrimSuffix(string(text), "\n") // the file's, not the text's
		defaults.Prompt = &prompt
	}
	j, err := v.job(defaults)
	return []job{j}, err
}

// batchJobs reads those of a batch.
func (c *GenerateCmd) batchJobs(ctx context.Context, v Voice, defaults asked) (list []job, err error) {
	text, err := readAll(ctx, c.Batch)
	if err != nil {
		return nil, err
	}
	n := 0
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		n++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		a := defaults
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		err := d.Decode(&a)
		if err == nil && d.More() {
			err = errors.New("more than one object")
		}
		if err == nil && (a.Prompt == nil) == (a.IDs == nil) {
			err = errors.New("it must have a prompt or ids, and not both")
		}
		if err == nil {
			err = a.Validate()
		}
		var j job
		if err == nil {
			j, err = v.job(a)
		}
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", c.Batch, n, err)
		}
		list = append(list, j)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no line: nothing to continue", c.Batch)
	}
	return list, nil
}

// job makes ids of a prompt.
func (v Voice) job(a asked) (job, error) {
	j := job{a, a.IDs}
	if v.Tok == nil && (a.Prompt != nil || len(a.Stop) > 0) {
		return j, fmt.Errorf("%s has no tokenizer, which texts need: give --tokenizer, or ids", v.Dir)
	}
	if a.Prompt != nil {
		if !utf8.ValidString(*a.Prompt) {
			return j, errors.New("the prompt is not valid UTF-8")
		}
		var err error
		if j.prompt, err = v.Encode(*a.Prompt); err != nil {
			return j, err
		}
	}
	if len(j.prompt) > v.Context {
		return j, &generate.TooLong{Tokens: len(j.prompt), Most: v.Context}
	}
	return j, nil
}

// room is as much as the jobs need.
func (c *GenerateCmd) room(v Voice, jobs []job) (generate.Config, Work) {
	config, work := generate.Config{Slots: min(c.Slots, len(jobs)), Context: 1}, Work{}
	for _, j := range jobs {
		n := min(v.Context, len(j.prompt)+max(0, j.MaxTokens-1))
		config.Context = max(config.Context, n)
		work.Prompts += len(j.prompt)
		work.Added += n - len(j.prompt)
	}
	work.Added /= config.Slots
	return config, work
}

// result is what became of a text: other programs read it.
type result struct {
	IDs      []uint32  `json:"ids"`
	Text     string    `json:"text"`
	Finish   string    `json:"finish_reason"`
	LogProbs []float64 `json:"logprobs"`
}

// running is a job that runs.
type running struct {
	result
	seq  *generate.Sequence
	text *generate.Text
	err  error
}

// start takes a job in; say, unless nil, hears pieces of its text.
func (s *Speaker) start(j job, say func(string)) (*running, error) {
	r := &running{result: result{IDs: []uint32{}, LogProbs: []float64{}}, text: s.Text(j.prompt, j.Stop)}
	request := generate.Request{Prompt: j.prompt, MaxTokens: j.MaxTokens, MinTokens: j.MinTokens, Sample: j.Config,
		Ends: s.Ends, LogProbs: true}
	tell := func(piece string) {
		r.Text += piece
		if say != nil && piece != "" {
			say(piece)
		}
	}
	request.Heard = func(t generate.Token) bool {
		r.IDs, r.LogProbs = append(r.IDs, t.ID), append(r.LogProbs, t.LogProb)
		if r.text == nil || s.ends(t.ID) {
			return false
		}
		piece, stop, err := r.text.Add(t.ID)
		tell(piece)
		r.err = errors.Join(r.err, err)
		return stop || err != nil
	}
	var err error
	r.seq, err = s.Gen.Add(request)
	return r, err
}

// ends reports whether a token ends texts: it is no part of them.
func (s *Speaker) ends(id uint32) bool {
	for _, end := range s.Ends {
		if end == id {
			return true
		}
	}
	return false
}

// finish is what became of it, with the text that was held back.
func (r *running) finish() error {
	if err := errors.Join(r.err, r.seq.Err); err != nil {
		return err
	}
	if r.text != nil {
		rest, err := r.text.Rest()
		if err != nil {
			return err
		}
		r.Text += rest
	}
	r.Finish = string(r.seq.Finish)
	return nil
}

// one continues one text, and prints it as it comes.
func (s *Speaker) one(ctx context.Context, j job, asJSON bool) error {
	var say func(string)
	if !asJSON {
		say = func(piece string) { fmt.Print(harmless(piece)) }
	}
	r, err := s.start(j, say)
	if err != nil {
		return err
	}
	if err := s.run(ctx); err != nil {
		return err
	}
	shown := len(r.Text)
	if err := r.finish(); err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(r.result)
	}
	if r.text == nil {
		fmt.Println(strings.Trim(fmt.Sprint(r.IDs), "[]"))
		return nil
	}
	fmt.Println(harmless(r.Text[shown:]))
	return nil
}

// run steps until no text is left.
func (s *Speaker) run(ctx context.Context) error {
	for s.Gen.Active() > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.Gen.Step(); err != nil {
			return err
		}
	}
	return nil
}

// harmless is text for standard output: as it is, unless that is a terminal, which a model must not steer.
func harmless(text string) string {
	if term.IsTerminal(int(os.Stdout.Fd())) {
		return printable(text)
	}
	return text
}

// printable has U+FFFD in place of control characters, but for those that end lines and columns.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return utf8.RuneError
		}
		return r
	}, text)
}

// batch continues texts, as many at once as there are slots, and prints each as one line, in order.
func (s *Speaker) batch(ctx context.Context, jobs []job, w io.Writer) error {
	var all []*running
	out := json.NewEncoder(w)
	printed := 0
	for printed < len(jobs) {
		if err := ctx.Err(); err != nil {
			return err
		}
		for len(all) < len(jobs) {
			r, err := s.start(jobs[len(all)], nil)
			if errors.Is(err, generate.ErrFull) {
				break
			}
			if err != nil {
				return fmt.Errorf("text %d: %w", len(all)+1, err)
			}
			all = append(all, r)
		}
		if err := s.Gen.Step(); err != nil {
			return err
		}
		for printed < len(all) && all[printed].seq.Finish != "" {
			if err := all[printed].finish(); err != nil {
				return fmt.Errorf("text %d: %w", printed+1, err)
			}
			if err := out.Encode(all[printed].result); err != nil {
				return err
			}
			all[printed] = nil
			printed++
		}
	}
	return nil
}
