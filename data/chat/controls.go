package chat

import (
	"errors"
	"fmt"
	"io"

	"github.com/nikolalohinski/gonja/v2/builtins"
	control "github.com/nikolalohinski/gonja/v2/builtins/control_structures"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/parser"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

// controls are the statements that templates have. Loops and macros count their steps; what reads files is refused.
var controls = func() *exec.ControlStructureSet {
	list := map[string]parser.ControlStructureParser{}
	for _, name := range []string{"if", "raw", "with", "do", "break", "continue", "call", "filter"} {
		list[name], _ = builtins.ControlStructures.Get(name)
	}
	for _, name := range []string{"for", "macro"} {
		list[name] = counted(name)
	}
	list["set"] = measured
	list[generationName] = generation
	for _, name := range []string{"include", "import", "from", "extends", "block"} {
		list[name] = func(*parser.Parser, *parser.Parser) (nodes.ControlStructure, error) {
			return nil, fmt.Errorf("templates that use %q are refused: they may not read files", name)
		}
	}
	return exec.NewControlStructureSet(list)
}()

// stepsName is the variable that counts: no template can spell it.
const stepsName = "steps of the template"

// steps is how much of a run is done, and why it had to end: the library words errors anew on their way.
type steps struct {
	all, calls, bytes int
	err               error

	out       *bounded
	generated []Span // of out's text
	inner     bool   // something was generated that went elsewhere first
	within    int    // generations that are under way
}

// fail notes the first error.
func (s *steps) fail(err error) error {
	if s.err == nil {
		s.err = err
	}
	return err
}

// tick is a statement at the beginning of a body: one step.
type tick struct {
	at    *tokens.Token
	macro bool
}

func (t *tick) Position() *tokens.Token { return t.at }
func (t *tick) String() string          { return "tick" }

// Execute implements exec.ControlStructure.
func (t *tick) Execute(r *exec.Renderer, _ *nodes.ControlStructureBlock) error {
	value, _ := r.Environment.Context.Get(stepsName)
	s, ok := value.(*steps)
	if !ok {
		return errors.New("nothing counts the template's steps")
	}
	if s.all++; s.all > mostSteps {
		return s.fail(fmt.Errorf("it loops more than %d times", mostSteps))
	}
	if t.macro {
		if s.calls++; s.calls > mostCalls {
			return s.fail(fmt.Errorf("it calls macros more than %d times", mostCalls))
		}
	}
	return nil
}

// counted is a statement of the library whose body counts its steps.
func counted(name string) parser.ControlStructureParser {
	parse, _ := builtins.ControlStructures.Get(name)
	return func(p, args *parser.Parser) (nodes.ControlStructure, error) {
		parsed, err := parse(p, args)
		if err != nil {
			return nil, err
		}
		var body *nodes.Wrapper
		switch x := parsed.(type) {
		case *control.ForControlStructure:
			body = x.BodyWrapper
		case *control.MacroControlStructure:
			body = x.Wrapper
		default:
			return nil, fmt.Errorf("a %s that is none", name)
		}
		t := &tick{body.Location, name == "macro"}
		body.Nodes = append([]nodes.Node{&nodes.ControlStructureBlock{Location: body.Location, Name: "tick",
			ControlStructure: t}}, body.Nodes...)
		return parsed, nil
	}
}

// measuredSet is the library's set, after which what was kept is measured.
type measuredSet struct {
	*control.SetControlStructure
	name string // of the variable
}

// Execute implements exec.ControlStructure.
func (m measuredSet) Execute(r *exec.Renderer, tag *nodes.ControlStructureBlock) error {
	if err := m.SetControlStructure.Execute(r, tag); err != nil {
		return err
	}
	if err := (&tick{}).Execute(r, tag); err != nil {
		return err
	}
	counter, _ := r.Environment.Context.Get(stepsName)
	value, _ := r.Environment.Context.Get(m.name)
	s, n := counter.(*steps), size(value, 3)
	if s.bytes += n; n > mostOutput || s.bytes > 16*mostOutput {
		return s.fail(fmt.Errorf("it keeps values of more than %d bytes, or of %d one after another", mostOutput,
			16*mostOutput))
	}
	return nil
}

// size is about how many bytes a value has, looked into so deep.
func size(value any, depth int) (n int) {
	if depth == 0 {
		return 0
	}
	switch x := value.(type) {
	case string:
		return len(x)
	case *exec.Value:
		if x.IsString() {
			return len(x.String())
		}
		if x.IsList() {
			return 8 * x.Len()
		}
		return size(x.Interface(), depth-1)
	case []any:
		return 8 * len(x)
	case map[string]any:
		for _, y := range x {
			n += size(y, depth-1)
		}
	}
	return n
}

func measured(p, args *parser.Parser) (nodes.ControlStructure, error) {
	name := ""
	if t := args.Current(tokens.Name); t != nil {
		name = t.Val
	}
	parse, _ := builtins.ControlStructures.Get("set")
	parsed, err := parse(p, args)
	if err != nil {
		return nil, err
	}
	s, ok := parsed.(*control.SetControlStructure)
	if !ok {
		return nil, errors.New("a set that is none")
	}
	return measuredSet{s, name}, nil
}

// generationName is the statement that training's masks are made of.
const generationName = "generation"

// generated is {% generation %}: its body, whose place is noted.
type generated struct {
	at   *tokens.Token
	body *nodes.Wrapper
}

func (g *generated) Position() *tokens.Token { return g.at }
func (g *generated) String() string          { return "generation" }

// Execute implements exec.ControlStructure.
func (g *generated) Execute(r *exec.Renderer, _ *nodes.ControlStructureBlock) error {
	value, _ := r.Environment.Context.Get(stepsName)
	s, ok := value.(*steps)
	if !ok {
		return errors.New("nothing notes what the template generates")
	}
	from := s.out.text.Len()
	s.within++
	err := r.ExecuteWrapper(g.body)
	s.within--
	switch to := s.out.text.Len(); {
	case r.Output != io.Writer(s.out):
		s.inner = true
	case s.within == 0 && to > from:
		s.generated = append(s.generated, Span{from, to})
	}
	return err
}

func generation(p, args *parser.Parser) (nodes.ControlStructure, error) {
	if !args.End() {
		return nil, errors.New("generation takes no arguments")
	}
	at := p.Current()
	body, _, err := p.WrapUntil("endgeneration")
	return &generated{at, body}, err
}
