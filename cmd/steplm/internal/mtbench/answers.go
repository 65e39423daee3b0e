package mtbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/speak"
	"steplm/cmd/steplm/internal/view"
	"steplm/internal/disk"
	"steplm/model/engine"
	"steplm/model/generate"
	"steplm/model/hf"
	"steplm/model/sample"
	mt "steplm/stage/mtbench"
)

// AnswersCmd has a model answer.
type AnswersCmd struct {
	speak.Flags `embed:""`
	Questions   string `required:"" placeholder:"FILE" help:"FastChat's question.jsonl."`
	Answers     string `required:"" placeholder:"FILE" help:"Where the answers are written: model_answer/NAME.jsonl, by which name the model is judged. Answers that are there stay."`
	Template    string `default:"fastchat-alpaca" placeholder:"NAME|FILE" help:"What questions are put into: fastchat-alpaca or fastchat-vicuna, FastChat's templates; alpaca, the prompt that Alpaca was trained with; own, the model's chat template; or a file with one in Jinja. Default: ${default}."`
	MaxTokens   int    `default:"1024" placeholder:"N" range:"1..1e9" help:"Tokens of an answer, at most. Default: ${default}."`
	Seed        uint64 `placeholder:"N" help:"What is drawn where the temperature is not 0. Default: 0."`
	Slots       int    `default:"8" placeholder:"N" range:"1..65536" help:"Questions at once. Default: ${default}."`
	Limit       int    `placeholder:"N" range:"0..1e9" help:"Only the first N questions. Default: all."`

	// Watch hears how many turns are answered of those that are asked, in place of whoever looks at the screen.
	Watch func(turns, all int) `kong:"-"`
	// Anew: answers that came about otherwise are not the user's but the caller's, who has all asked anew.
	Anew bool `kong:"-"`
}

// Run answers what is not answered yet.
func (c *AnswersCmd) Run(ctx context.Context) error {
	list, err := questions(c.Questions, c.Limit)
	if err != nil {
		return err
	}
	if !strings.HasSuffix(c.Answers, ".jsonl") {
		return flags.Usagef("--answers %s: FastChat's files end in .jsonl, before which the model's name stands",
			c.Answers)
	}
	v, err := c.Find(true)
	if err != nil {
		return err
	}
	manner, err := c.manner(v)
	if err != nil {
		return err
	}
	setup, err := c.setup(v)
	if err != nil {
		return err
	}
	log, err := openLog(c.Answers)
	if err != nil {
		return err
	}
	defer log.Close()
	left, err := c.resume(list, setup, log)
	if err != nil {
		return err
	}
	tally := &tally{}
	if len(left) > 0 {
		if err := c.answer(ctx, v, manner, setup, left, log, tally); err != nil {
			return err
		}
	}
	done, err := mt.ReadAnswers(c.Answers)
	if err != nil {
		return err
	}
	lines, err := done.Sorted()
	if err == nil {
		err = log.Replace(lines)
	}
	if err != nil {
		return err
	}
	tally.warn(v.Context)
	if c.Watch != nil {
		return nil
	}
	count := view.Plural(int64(len(done.Of)), "answer", "answers")
	fmt.Printf("%s of %s are in %s, %d of them new; template %s\n", count, done.Model, c.Answers, len(left), c.Template)
	return nil
}

// manner is what questions are put into.
func (c *AnswersCmd) manner(v speak.Voice) (speak.Manner, error) {
	if t, known := templates[c.Template]; known {
		return speak.Manner{Format: t}, nil
	}
	name := c.Template
	if name == ownTemplate {
		name = ""
	}
	m, err := v.Manner(name)
	switch {
	case disk.Missing(err) && name != "":
		return m, flags.Usagef("--template %s: there is no such file, and the names are %s", name,
			strings.Join(templateNames(), ", "))
	case err == nil && name == "" && !m.Own:
		return m, flags.Usagef("--template %s: %s has no chat template", ownTemplate, v.Dir)
	}
	return m, err
}

// setup is how the answers come about. What cuts the distribution is the model's own, as in FastChat.
func (c *AnswersCmd) setup(v speak.Voice) (mt.Setup, error) {
	dir, err := filepath.Abs(v.Dir)
	if err != nil {
		return mt.Setup{}, err
	}
	s, err := hf.ReadSampling(v.Dir)
	out := mt.Setup{Model: dir, Template: c.Template, MaxTokens: c.MaxTokens, Context: v.Context, Seed: c.Seed,
		TopK: s.TopK, TopP: s.TopP, MinP: s.MinP, RepetitionPenalty: s.RepetitionPenalty}
	if err == nil {
		err = sampling(mt.Question{}, 0, out).Validate()
	}
	return out, err
}

// resume finds out which questions are to be answered, and refuses a file whose answers came about otherwise.
func (c *AnswersCmd) resume(list []mt.Question, setup mt.Setup, log *mt.Log) (left []mt.Question, err error) {
	done, err := mt.ReadAnswers(c.Answers)
	if err != nil {
		return nil, err
	}
	if len(done.Of) == 0 {
		return list, setup.Write(c.Answers)
	}
	before, known, err := mt.ReadSetup(c.Answers)
	if err != nil {
		return nil, err
	}
	missing, others := done.Missing(list)
	switch other := differs(before, setup); {
	case c.Anew && (!known || other != ""):
		if err := log.Replace(nil); err != nil {
			return nil, err
		}
		return list, setup.Write(c.Answers)
	case !known:
		return nil, fmt.Errorf("%s has answers, and nothing beside it says how they came about: name another file",
			c.Answers)
	case other != "":
		return nil, fmt.Errorf("%s has answers that came about otherwise: %s. Name another file, or take this one "+
			"away to have all answered anew", c.Answers, other)
	case len(others) > 0 && c.Limit == 0:
		return nil, fmt.Errorf("%s has answers to other questions (%s), which %s does not have: name another file",
			c.Answers, mt.Numbers(others), c.Questions)
	}
	for _, q := range list {
		if slices.Contains(missing, q.ID) {
			left = append(left, q)
		}
	}
	return left, nil
}

// differs says in what two setups differ, in flags; "": in nothing.
func differs(before, now mt.Setup) string {
	var list []string
	a, b := reflect.ValueOf(before), reflect.ValueOf(now)
	for i := range a.NumField() {
		if x, y := a.Field(i).Interface(), b.Field(i).Interface(); x != y {
			name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
			list = append(list, fmt.Sprintf("%s was %v, now it is %v", strings.ReplaceAll(name, "_", " "), x, y))
		}
	}
	return strings.Join(list, ", ")
}

// tally counts what became of answers.
type tally struct {
	mu            sync.Mutex
	turns, tokens int
	failed        []int // questions with a prompt that does not fit
	full          []int // questions with an answer that ends because the context does
}

func (t *tally) warn(context int) {
	if len(t.failed) > 0 {
		warn("prompts of %d questions (%s) do not fit the context of %d: their answers are %s, as in FastChat where "+
			"generating fails", len(t.failed), mt.Numbers(t.failed), context, mt.FailedAnswer)
	}
	if len(t.full) > 0 {
		warn("answers to %d questions (%s) end where the context of %d is full", len(t.full), mt.Numbers(t.full),
			context)
	}
}

// answer has the model answer questions, several at once, and writes each when both turns are there.
func (c *AnswersCmd) answer(ctx context.Context, v speak.Voice, m speak.Manner, setup mt.Setup, list []mt.Question,
	log *mt.Log, tally *tally) error {
	turns := 0
	for _, q := range list {
		turns += len(q.Turns)
	}
	slots := min(c.Slots, len(list))
	work := speak.Work{Prompts: turns * v.Context / 4, Added: turns * min(c.MaxTokens, v.Context) / 4 / slots}
	s, err := v.Open(ctx, generate.Config{Slots: slots, Context: v.Context}, work, false)
	if err != nil {
		return err
	}
	defer s.Close()
	a := &answerer{voice: v, manner: m, setup: setup, tally: tally, special: specialTexts(v),
		engine: engine.New(s.Gen, engine.Config{Waiting: len(list)}), answered: func(n int) { c.Watch(n, turns) }}
	if c.Watch == nil {
		progress := view.NewProgress(os.Stderr, "answers", int64(turns), "turns")
		defer progress.Done()
		a.answered = func(n int) { progress.Set(int64(n)) }
	}
	a.answered(0)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, q := range list {
		all.Go(func() {
			turns, err := a.converse(ctx, q)
			if err == nil {
				err = log.Append(mt.Answer{QuestionID: q.ID, AnswerID: answerID(), Model: mt.ModelOf(c.Answers),
					Choices: []mt.Choice{{Turns: turns}}, Time: now()})
			}
			if err != nil {
				cancel(fmt.Errorf("question %d: %w", q.ID, err))
			}
		})
	}
	go func() {
		all.Wait()
		a.engine.Close()
	}()
	err = a.engine.Run(ctx)
	all.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// answerer is a model that answers.
type answerer struct {
	voice    speak.Voice
	manner   speak.Manner
	setup    mt.Setup
	engine   *engine.Engine
	special  []string // texts of special tokens
	tally    *tally
	answered func(turns int)
}

// now is the time as FastChat has it.
func now() mt.Seconds { return mt.Seconds(float64(time.Now().UnixMicro()) / 1e6) }

// sampling is how tokens of a turn are chosen. A draw is of the seed, the question and the turn alone.
func sampling(q mt.Question, turn int, s mt.Setup) sample.Config {
	const spread = 0x9E3779B97F4A7C15 // the golden ratio's bits, which scatter small numbers
	return sample.Config{Temperature: q.Temperature(), TopK: s.TopK, TopP: s.TopP, MinP: s.MinP,
		RepetitionPenalty: s.RepetitionPenalty, Seed: s.Seed + spread*uint64(2*q.ID+turn)}
}
