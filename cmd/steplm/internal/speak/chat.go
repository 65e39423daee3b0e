package speak

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"steplm/cmd/steplm/internal/flags"
	"steplm/data/chat"
	"steplm/model/generate"
)

type ChatCmd struct {
	Flags       `embed:""`
	System      string `placeholder:"TEXT" help:"What the model is told before the conversation. Default: nothing, or what its template says."`
	Template    string `placeholder:"FILE|alpaca" help:"A chat template in Jinja, or alpaca for Alpaca's prompt. Default: the model's own, else Alpaca's prompt."`
	MaxTokens   int    `default:"512" placeholder:"N" range:"1..1e9" help:"Tokens of an answer, at most. Default: ${default}."`
	SampleFlags `embed:""`
}

// chatHelp is what a conversation begins with, on a terminal.
const chatHelp = `Each line is a message; one that ends in \ goes on in the next. /reset begins anew, /exit or Ctrl-D ends.`

func (c *ChatCmd) Run(ctx context.Context) error {
	sampling, err := c.config()
	if err != nil {
		return err
	}
	v, err := c.Find(true)
	if err != nil {
		return err
	}
	format, err := c.format(v)
	if err != nil {
		return err
	}
	ask := asked{MaxTokens: c.MaxTokens, Config: sampling}
	_, own := format.(*chat.Template)
	if !own { // an answer ends where the next question would begin
		ask.Stop = stops{nextQuestion}
	}
	if !own && c.Template == "" {
		flags.SessionUI(true).Warn(fmt.Sprintf("%s has no chat template: Alpaca's prompt is used", v.Dir))
	}
	v.Ends = slices.Concat(v.Ends, v.turnEnds(format))
	s, err := v.Open(ctx, generate.Config{Slots: 1, Context: v.Context}, Work{v.Context, c.MaxTokens}, false)
	if err != nil {
		return err
	}
	defer s.Close()
	t := &talk{s: s, format: format, begin: func() []chat.Message {
		if c.System == "" {
			return nil
		}
		return []chat.Message{{Role: chat.System, Content: c.System}}
	}, ask: ask, out: os.Stdout}
	t.messages = t.begin()
	if term.IsTerminal(int(os.Stdin.Fd())) {
		t.sign = "> "
		fmt.Println(chatHelp)
	}
	return t.run(ctx, os.Stdin)
}

// format is the template that is asked for, or the model's own.
func (c *ChatCmd) format(v Voice) (chat.Format, error) {
	switch c.Template {
	case "":
		return v.ChatFormat(time.Now)
	case "alpaca":
		return chat.Alpaca{}, nil
	}
	text, err := os.ReadFile(c.Template)
	if err != nil {
		return nil, err
	}
	special := map[string]string{}
	if id, ok := v.Tok.BeginOfText(); ok {
		special["bos_token"] = v.Tok.Name(id)
	}
	if id, ok := v.Tok.EndOfText(); ok {
		special["eos_token"] = v.Tok.Name(id)
	}
	t, err := chat.Parse(string(text), special, time.Now)
	if err != nil {
		err = fmt.Errorf("%s: %w", c.Template, err)
	}
	return t, err
}

// turnNames are tokens that end a turn where a template ends it so, whatever ends a text.
var turnNames = []string{"<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "<|endoftext|>", "</s>"}

// turnEnds are those that the format's text has and the tokenizer knows.
func (v Voice) turnEnds(f chat.Format) (ids []uint32) {
	t, ok := f.(*chat.Template)
	if !ok {
		return nil
	}
	for _, name := range turnNames {
		if !strings.Contains(t.Source(), name) {
			continue
		}
		one, err := v.Tok.Encode(name)
		if err == nil && len(one) == 1 && v.Tok.Name(one[0]) == name && !slices.Contains(v.Ends, one[0]) {
			ids = append(ids, one[0])
		}
	}
	return ids
}

// Conversation is a conversation's ids, where the assistant goes on. What a template makes has the tokens that begin a
// text already.
func (v Voice) Conversation(f chat.Format, messages []chat.Message) ([]uint32, error) {
	text, err := f.Render(messages, true)
	if err != nil {
		return nil, err
	}
	if _, ok := f.(*chat.Template); ok {
		return v.Tok.Encode(text)
	}
	return v.Encode(text)
}

// talk is a conversation.
type talk struct {
	s        *Speaker
	format   chat.Format
	ask      asked
	begin    func() []chat.Message
	messages []chat.Message
	sign     string // before what a person writes
	out      io.Writer
}

// run answers each message of a reader.
func (t *talk) run(ctx context.Context, in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, mostInput)
	next := func() (bool, error) { return lines.Scan(), lines.Err() }
	for said := ""; ; {
		fmt.Fprint(t.out, t.sign)
		there, err := beside(ctx, next)
		if err != nil {
			return err
		}
		line, more := strings.CutSuffix(lines.Text(), `\`)
		if said += line; more {
			said += "\n"
			continue
		}
		message := said
		said = ""
		switch strings.TrimSpace(message) {
		case "":
		case "/exit":
			return nil
		case "/reset":
			t.messages = t.begin()
		default:
			if err := t.answer(ctx, message); err != nil {
				return err
			}
		}
		if !there {
			return nil
		}
	}
}

// answer prints the model's answer to a message, and keeps both. A message that cannot be answered is told, and is not
// kept.
func (t *talk) answer(ctx context.Context, message string) error {
	messages := append(slices.Clone(t.messages), chat.Message{Role: chat.User, Content: message})
	ids, err := t.s.Conversation(t.format, messages)
	if err == nil && len(ids) > t.s.Context {
		err = fmt.Errorf("the conversation has %d tokens, at most %d fit: begin anew with /reset", len(ids),
			t.s.Context)
	}
	var r *running
	if err == nil {
		r, err = t.s.start(job{t.ask, ids}, func(piece string) { fmt.Fprint(t.out, harmless(piece)) })
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "steplm: %s\n", flags.Explain(err))
		return nil
	}
	if err := t.s.run(ctx); err != nil {
		return err
	}
	shown := len(r.Text)
	if err := r.finish(); err != nil {
		return err
	}
	fmt.Fprintln(t.out, harmless(r.Text[shown:]))
	t.messages = append(messages, chat.Message{Role: chat.Assistant, Content: strings.TrimSpace(r.Text)})
	return nil
}
