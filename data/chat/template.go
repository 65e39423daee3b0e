package chat

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

// What a template may take.
const (
	mostSource = 256 << 10 // bytes of its text
	mostOutput = 4 << 20   // bytes of what it makes, and of one value that it keeps
	mostSteps  = 100_000   // iterations and calls of macros
	mostCalls  = 1000      // of macros
)

// dateName is the function that tells the date.
const dateName = "strftime_now"

// Template is a chat template, in Jinja, as Hugging Face's transformers runs them: blocks' lines vanish, special
// tokens are there by name. It may be used by several goroutines.
type Template struct {
	source  string
	marks   bool // it has {% generation %}
	dated   bool // it has strftime_now
	special map[string]string
	jinja   *exec.Template
	now     func() time.Time
}

// Parse reads a template. special are the texts of special tokens by their names (bos_token, eos_token, ...); now is
// what strftime_now tells, of templates that ask for the date.
func Parse(source string, special map[string]string, now func() time.Time) (t *Template, err error) {
	defer recovered("chat template", &err)
	if len(source) > mostSource {
		return nil, fmt.Errorf("the chat template has %d bytes, at most %d are read", len(source), mostSource)
	}
	// As in transformers: the last newline belongs to the file.
	source = strings.TrimSuffix(strings.ReplaceAll(source, "\r\n", "\n"), "\n")
	c := config.New()
	c.TrimBlocks, c.LeftStripBlocks = true, true
	if err := multiplies(source, c); err != nil {
		return nil, err
	}
	loader, err := loaders.NewMemoryLoader(map[string]string{"/chat": source})
	if err != nil {
		return nil, err
	}
	jinja, err := exec.NewTemplate("/chat", c, loader, environment)
	if err != nil {
		return nil, fmt.Errorf("chat template: %w", innermost(err))
	}
	return &Template{source, marksIn(source, c), datedIn(source, c), maps.Clone(special), jinja, now}, nil
}

// datedIn reports whether a template may ask for the date.
func datedIn(source string, c *config.Config) bool {
	for stream := tokens.LexAll(source, c); !stream.End(); stream.Next() {
		if t := stream.Current(); t.Type == tokens.Name && t.Val == dateName {
			return true
		}
	}
	return false
}

// marksIn reports whether a template says by {% generation %} what the assistant generates.
func marksIn(source string, c *config.Config) bool {
	begins := false
	for stream := tokens.LexAll(source, c); !stream.End(); stream.Next() {
		t := stream.Current()
		if begins && t.Type == tokens.Name && t.Val == generationName {
			return true
		}
		begins = t.Type == tokens.BlockBegin
	}
	return false
}

// multiplies refuses a template that repeats strings: one such word can fill any memory.
func multiplies(source string, c *config.Config) error {
	for stream := tokens.LexAll(source, c); !stream.End(); stream.Next() {
		if t := stream.Current(); t.Type == tokens.Multiply || t.Type == tokens.Power {
			return fmt.Errorf("chat template: line %d: templates that use %q are refused, since it can repeat a text "+
				"without bound", t.Line, t.Val)
		}
	}
	return nil
}

// Source is the template's text.
func (t *Template) Source() string { return t.source }

// Marks reports whether the template says which of its text the assistant generates.
func (t *Template) Marks() bool { return t.marks }

// Dated reports whether the template may ask for the date, and so make another text on another day.
func (t *Template) Dated() bool { return t.dated }

// Day is the date that the template is told, as YYYY-MM-DD.
func (t *Template) Day() string { return t.now().Format(time.DateOnly) }

// Render implements Format.
func (t *Template) Render(messages []Message, more bool) (text string, err error) {
	text, _, err = t.render(messages, more)
	return text, err
}

// Span is bytes From <= i < To of a text.
type Span struct{ From, To int }

// Generated is a conversation's text, and those of its bytes that stand in {% generation %}, of which transformers
// makes its mask of the assistant's tokens. It is an error where one stands in a macro or another block whose text is
// made before its place is known.
func (t *Template) Generated(messages []Message) (text string, spans []Span, err error) {
	text, run, err := t.render(messages, false)
	if err == nil && run.inner {
		err = errors.New("chat template: generation stands inside a macro, a call, a filter or a set: it cannot be " +
			"told where its text is")
	}
	if err != nil {
		return "", nil, err
	}
	return text, run.generated, nil
}

// render makes a conversation's text, and tells what came about on the way.
func (t *Template) render(messages []Message, more bool) (text string, run *steps, err error) {
	defer recovered("chat template", &err)
	if err := checkMessages(messages); err != nil {
		return "", nil, err
	}
	var list []any
	for _, m := range messages {
		list = append(list, map[string]any{"role": m.Role, "content": m.Content})
	}
	out := &bounded{}
	run = &steps{out: out}
	values := map[string]any{"messages": list, "add_generation_prompt": more, "tools": nil, "documents": nil,
		stepsName: run,
		"raise_exception": func(text string) (string, error) {
			return "", run.fail(errors.New("it refuses the conversation: " + text))
		},
		dateName: func(format string) string { return strftime(t.now(), format) }}
	for name, special := range t.special {
		values[name] = special
	}
	if err := t.jinja.Execute(out, exec.NewContext(values)); err != nil {
		if run.err != nil {
			err = run.err
		}
		return "", nil, fmt.Errorf("chat template: %w", innermost(err))
	}
	return out.text.String(), run, nil
}

// bounded is a text of at most mostOutput bytes.
type bounded struct{ text strings.Builder }

func (b *bounded) Write(p []byte) (int, error) { return b.WriteString(string(p)) }

func (b *bounded) WriteString(s string) (int, error) {
	if b.text.Len()+len(s) > mostOutput {
		return 0, fmt.Errorf("it makes more than %d bytes of text", mostOutput)
	}
	return b.text.WriteString(s)
}

var _ io.StringWriter = &bounded{}

// innermost is the error that others only wrap, in one line: what wraps it repeats the template.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if cause, ok := err.(interface{ Cause() error }); ok && next == nil {
			next = cause.Cause()
		}
		if next == nil || next == err {
			break
		}
		err = next
	}
	if lines := strings.Fields(err.Error()); len(err.Error()) > 300 {
		return errors.New(strings.Join(lines, " ")[:300])
	}
	return err
}

// recovered turns a panic of the library into an error.
func recovered(what string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: it cannot be run: %v", what, p)
	}
}

// filters are those that templates have: none that draws at random, or that makes long text of a number.
var filters = func() *exec.FilterSet {
	list := map[string]exec.FilterFunction{}
	for _, name := range strings.Fields("abs attr batch capitalize count d default dictsort e escape first float " +
		"groupby int items join last length list lower map max min reject rejectattr replace reverse round safe " +
		"select selectattr slice sort string striptags sum title trim truncate unique upper urlencode wordcount") {
		if f, ok := builtins.Filters.Get(name); ok {
			list[name] = f
		}
	}
	list["tojson"] = filterJSON
	return exec.NewFilterSet(list)
}()

// tests and methods are the library's.
var environment = &exec.Environment{
	Context: exec.EmptyContext().Update(exec.NewContext(map[string]any{
		"namespace": global("namespace"), "dict": global("dict"), "cycler": global("cycler"),
		"joiner": global("joiner"), "range": rangeOf,
	})),
	Filters: filters, Tests: builtins.Tests, ControlStructures: controls, Methods: builtins.Methods,
}

func global(name string) any {
	f, _ := builtins.GlobalFunctions.Get(name)
	return f
}

// rangeOf is Jinja's range as a list, of at most mostSteps numbers.
func rangeOf(_ *exec.Evaluator, params *exec.VarArgs) ([]int, error) {
	numbers := []int{}
	for _, a := range params.Args {
		if !a.IsInteger() {
			return nil, errors.New("range takes whole numbers")
		}
		numbers = append(numbers, a.Integer())
	}
	first, end, step := 0, 0, 1
	switch len(numbers) {
	case 1:
		end = numbers[0]
	case 2:
		first, end = numbers[0], numbers[1]
	case 3:
		first, end, step = numbers[0], numbers[1], numbers[2]
	default:
		return nil, errors.New("range takes one number to three")
	}
	if step == 0 {
		return nil, errors.New("range by steps of 0")
	}
	list := []int{}
	for i := first; step > 0 && i < end || step < 0 && i > end; i += step {
		if len(list) == mostSteps {
			return nil, fmt.Errorf("it loops more than %d times", mostSteps)
		}
		list = append(list, i)
	}
	return list, nil
}
