package generate

import (
	"errors"
	"fmt"

	"steplm/model/sample"
)

// Request is a text to be continued.
type Request struct {
	Prompt []uint32 // at least one token
	// MaxTokens is how many tokens may be added; 0: none, the prompt is only read. What goes beyond the Generator's
	// context is cut off: the sequence then ends with Length all the same.
	MaxTokens int
	MinTokens int // as long as there are fewer, no Ends may come
	Sample    sample.Config
	Ends      []uint32 // tokens that end a text, each of which is its last
	IgnoreEnd bool     // Ends do not end it, and may come
	LogProbs  bool     // tokens have their log-probabilities
	Top       int      // and those of so many likeliest ones, which LogProbs is needed for
	// Echo has the prompt's tokens heard first, with their log-probabilities if those are wanted.
	Echo bool
	// Heard hears every token, in order, within Step. If it says stop, the text ends with Stop.
	Heard func(Token) (stop bool)
}

// Token is one of a text.
type Token struct {
	ID     uint32
	Prompt bool // it is the prompt's
	// LogProb is ln p of the token in the model's own distribution, and Top has the likeliest tokens. Known is whether
	// they are there: they must be wanted, and the text's first token has none, since nothing comes before it.
	Known   bool
	LogProb float64
	Top     []sample.LogProbOf
}

// Finish is why a text ended.
type Finish string

// The reasons.
const (
	Length    Finish = "length" // as many tokens as were wanted, or the context is full
	Stop      Finish = "stop"   // whoever heard it said so, at a stop string for one
	End       Finish = "eos"    // a token of Ends
	Cancelled Finish = "cancelled"
	Failed    Finish = "failed" // see Sequence.Err
)

// ErrFull is a Generator without a slot or without room in its cache: there will be some when another sequence ends.
var ErrFull = errors.New("all slots of the generator, or all positions of its cache, are taken")

// TooLong is a prompt that the Generator has no room for, now or later.
type TooLong struct{ Tokens, Most int }

func (e *TooLong) Error() string {
	return fmt.Sprintf("the prompt has %d tokens, at most %d fit", e.Tokens, e.Most)
}

// Sequence is a text that a Generator continues.
type Sequence struct {
	Request
	Tokens []uint32 // added so far
	Finish Finish   // "": not yet
	Err    error    // of Failed

	extent  extent
	read    int      // positions in the cache
	history []uint32 // the prompt and what was added
	most    int      // tokens that may be added
}

// prefilled reports whether all of the prompt was read.
func (s *Sequence) prefilled() bool { return s.read >= len(s.Prompt) }

// check refuses a request that cannot be answered.
func (r Request) check(vocab int) error {
	if len(r.Prompt) == 0 {
		return errors.New("the prompt has no tokens: at least one must be there, such as the one that begins a text")
	}
	for i, id := range r.Prompt {
		if int64(id) >= int64(vocab) {
			return fmt.Errorf("id %d at position %d is not below the model's vocabulary of %d", id, i, vocab)
		}
	}
	if r.MaxTokens < 0 {
		return fmt.Errorf("%d tokens to add: it must be 0 or more", r.MaxTokens)
	}
	if r.MinTokens < 0 || r.Top < 0 {
		return fmt.Errorf("at least %d tokens, the %d likeliest of each: both must be 0 or more", r.MinTokens, r.Top)
	}
	return r.Sample.Validate()
}
