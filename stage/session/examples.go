package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"steplm/data"
	"steplm/data/chat"
	"steplm/data/examples"
	"steplm/model"
	"steplm/model/advice"
	"steplm/model/checkpoint"
	"steplm/model/export"
	"steplm/model/generate"
	"steplm/stage"
	"steplm/stage/eval"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// TuningOptions are those of examples alone.
var TuningOptions = []advice.Option{optionBatching, optionExamples, "patience", "samples", "sample_tokens",
	optionEpochs, optionDate}

// On reports whether the data are examples.
func (t Tuning) On() bool { return t.Batching != "" }

// check refuses what does not go together with examples, or with documents.
func (t Tuning) check(s Spec) error {
	if !t.On() {
		if t != (Tuning{}) {
			return badOption(optionBatching, `""`, "the data are documents: only examples are counted, have patience "+
				"and samples")
		}
		return nil
	}
	if !slices.Contains([]string{Padded, Packed}, t.Batching) {
		return badOption(optionBatching, t.Batching, "choose %s or %s", Padded, Packed)
	}
	for _, n := range []struct {
		option advice.Option
		value  int
	}{{optionExamples, t.Examples}, {"patience", t.Patience}, {optionSamples, t.Samples},
		{"sample_tokens", t.SampleTokens}} {
		if n.value < 0 {
			return badOption(n.option, n.value, "it must be 0 or more")
		}
	}
	if _, err := time.Parse(time.DateOnly, cmp.Or(t.Date, time.DateOnly)); err != nil {
		return badOption(optionDate, t.Date, "it must be a day, such as %s", time.DateOnly)
	}
	for _, path := range s.Data.Train {
		if _, _, given := splitWeight(path); given {
			return badOption("data", path, "examples are not mixed by weights: each is read once an epoch")
		}
	}
	d := s.Data
	for _, x := range []struct {
		option advice.Option
		given  bool
	}{{"min_score", d.MinScore != nil}, {"language", len(d.Language) > 0}, {"min_chars", d.MinChars != 0},
		{"max_chars", d.MaxChars != 0}, {"dedupe", d.Dedupe}, {"stream", d.Stream}, {"shards", d.Shards != 0},
		{"text_column", d.TextColumn != "" && d.TextColumn != data.TextColumn}, {"max_line", d.MaxLine != 0}} {
		if x.given {
			return badOption(x.option, "", "it is of documents, and says nothing of examples")
		}
	}
	if s.Tuning.Patience > 0 && s.Evaluation.EvalTokens == 0 {
		return badOption("eval_tokens", 0, "patience goes by evaluations within the run: it must be 1 or more")
	}
	if s.Tuning.Patience > 0 && s.Data.Holdout == 0 && s.Evaluation.Validation == "" {
		return badOption("patience", t.Patience, "there is nothing to measure on: hold examples out, or name "+
			"validation examples")
	}
	return nil
}

// tuning is examples.
type tuning struct {
	paths      []string // as they were asked for
	set        *examples.Set
	apart      *examples.Set // what is kept apart; nil: nothing is
	validation *examples.Set // nil: there is none
	format     chat.Format   // of conversations
	tokenizer  examples.Tokenizer
	decoder    generate.Decoder
	loader     *examples.Loader
}

// openInput opens what the run reads.
func (s *Session) openInput(ctx context.Context, ui UI) (err error) {
	if !s.Spec.Tuning.On() {
		r, err := s.Spec.Data.read(ctx, s.Spec.Schedule.Seed, s.documents, ui)
		if err == nil {
			s.read = r
		}
		return err
	}
	if n := s.Reducer.Size(); n > 1 && s.Spec.Tuning.Patience > 0 {
		return badOption("patience", s.Spec.Tuning.Patience, "one process alone measures, and the %d that train "+
			"together would not end together: leave it out", n)
	}
	t, err := s.readExamples(ctx, ui)
	if err == nil {
		s.read = t
	}
	return err
}

// tunedSeqLen is Alpaca's window.
const tunedSeqLen = 512

// readExamples reads all examples, as the model's windows hold them.
func (s *Session) readExamples(ctx context.Context, ui UI) (*tuning, error) {
	config, err := s.Spec.Model.Config(s.Tokenizer.VocabSize())
	if err != nil {
		return nil, err
	}
	if s.Spec.Model.SeqLen == nil {
		n := min(tunedSeqLen, config.MaxSeqLen)
		s.Spec.Model.SeqLen = &n
	}
	if s.Spec.Tuning.Batching == Packed {
		s.Spec.Model.Mask, s.Spec.Model.Positions = model.MaskDocuments, model.PositionsRestart
	}
	format, err := s.chatFormat(ui)
	if err != nil {
		return nil, err
	}
	t := &tuning{paths: s.Spec.Data.Train, format: format, tokenizer: s.documents, decoder: s.Tokenizer}
	o := examples.Options{Tokenizer: s.documents, Format: format, SeqLen: s.Spec.Model.Window(config),
		SkipBad: s.Spec.Data.SkipBad, Undated: s.Spec.Tuning.Date == ""}
	reading := ui.Progress("read and tokenize the examples", 0, "")
	defer reading.Done()
	read := func(paths ...string) (*examples.Set, error) {
		files, err := LocalFiles(ctx, ui, paths...)
		if err != nil {
			return nil, err
		}
		return examples.Read(files, o)
	}
	if t.set, err = read(t.paths...); err != nil {
		return nil, err
	}
	if share := s.Spec.Data.Holdout; share > 0 {
		if t.set, t.apart, err = t.set.Split(share); err != nil {
			return nil, err
		}
	}
	if n := s.Spec.Tuning.Examples; n > 0 {
		t.set = t.set.First(n)
	}
	if path := s.Spec.Evaluation.Validation; path != "" {
		if t.validation, err = read(path); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// chatFormat is how conversations become text: by the template that lies with the model or its tokenizer, else by
// Alpaca's prompt. A template that asks for the date is told one, which the Spec then names.
func (s *Session) chatFormat(ui UI) (chat.Format, error) {
	t, err := FindModel(s.Spec.Model.Init)
	if err != nil {
		return nil, err
	}
	day := time.Now() // The run's only look at the calendar.
	format, err := t.ChatFormat(func() time.Time { return day })
	date := &s.Spec.Tuning.Date
	if template, ok := format.(*chat.Template); err != nil || !ok || !template.Dated() {
		if *date != "" && !s.Resumed {
			ui.Warn(fmt.Sprintf("date %s: of no effect, since no chat template here asks for it", *date))
		}
		return format, err
	}
	if *date == "" && s.Resumed {
		ui.Warn("the chat template asks for the date, and the run does not say which it was begun with, as an " +
			"earlier version's does not: it is told today's")
		return format, nil
	}
	*date = cmp.Or(*date, day.Format(time.DateOnly))
	day, err = time.Parse(time.DateOnly, *date)
	return format, err
}

// ChatFormat is the chat template that lies with the model, or with its tokenizer, else Alpaca's prompt. now is what
// templates are told that ask for the date.
func (t Trained) ChatFormat(now func() time.Time) (chat.Format, error) {
	for _, dir := range []string{t.Dir, t.Tokenizer} {
		if info, err := os.Stat(dir); dir == "" || err != nil || !info.IsDir() {
			continue
		}
		template, err := chat.Find(dir, now)
		if err == nil {
			return template, nil
		}
		if !errors.Is(err, chat.ErrNone) {
			return nil, err
		}
	}
	return chat.Alpaca{}, nil
}

// identity implements input.
func (t *tuning) identity() string { return t.set.Identity() }

// layout is how the run's examples become windows, in micro-batches of a size.
func (s *Session) layout(batch, accum int) examples.Layout {
	return examples.Layout{BatchSize: batch, GradAccum: accum, SeqLen: *s.Spec.Model.SeqLen, Seed: s.order(),
		Pack: s.Spec.Tuning.Batching == Packed, Shuffle: true}
}

// batches implements input.
func (t *tuning) batches(s *Session) (batches, error) {
	l, err := examples.NewLoader(t.set, t.tokenizer, s.layout(s.Recipe.Batch.Batch, s.Recipe.GradAccum))
	if err != nil {
		return nil, err
	}
	t.loader = l
	return l, nil
}

// steps implements input.
func (t *tuning) steps(s *Session, epochs int) (int, error) {
	c := s.Spec.Schedule
	if epochs < 0 || c.BatchSize < 1 || c.GradAccum < 1 {
		return 0, badOption(optionEpochs, epochs, "epochs, batch size and gradient accumulation must be 1 or more")
	}
	return s.layout(c.BatchSize, c.GradAccum).Steps(t.set, epochs), nil
}

// heldOut implements input.
func (t *tuning) heldOut(_ context.Context, s *Session, _ UI) (tasks []eval.Task, err error) {
	for _, x := range []struct {
		name string
		set  *examples.Set
	}{{"holdout", t.apart}, {"validation", t.validation}} {
		if x.set != nil {
			tasks = append(tasks, eval.Examples(x.name, x.set, s.Spec.Tuning.Batching == Packed))
		}
	}
	return tasks, nil
}

// tune gives a run what it has besides, where it is on examples.
func (s *Session) tune(run *stage.Run) {
	read, ok := s.read.(*tuning)
	if !ok {
		return
	}
	o, epochs := s.Spec.Tuning, s.Spec.Schedule.Epochs
	run.Patience = o.Patience
	switch { // at the end of each epoch
	case run.EvalEvery != 0:
	case epochs > 0:
		run.EvalEvery = (s.Recipe.Steps() + epochs - 1) / epochs
	default:
		run.EvalEvery = s.layout(s.Recipe.Batch.Batch, s.Recipe.GradAccum).Steps(read.set, 1)
	}
}

// template is the chat template that conversations were written by; "" where there were none, or none was used.
func (t *tuning) template() string {
	if x, ok := t.format.(*chat.Template); ok && t.set.Talks > 0 {
		return x.Source()
	}
	return ""
}

// adapterDir is LoRA as peft has it, in a run's folder, where it is kept.
const adapterDir = "adapter"

// keepAdapters writes LoRA for peft, of the checkpoint that the trained model is of, if that is asked for.
func (s *Session) keepAdapters(trained string) error {
	if !s.Spec.Tuning.On() || s.Spec.Method.Adapters != adaptersKeep || s.Recipe.Method != recipe.LoRAName {
		return nil
	}
	out := s.Spec.Output.Out
	t, err := readCheckpoint(record.CheckpointAt(out, trained), out)
	if err != nil {
		return err
	}
	m, files, err := t.Source()
	if err != nil {
		return err
	}
	defer files.Close()
	d, err := checkpoint.Begin(out, adapterDir)
	if err != nil {
		return err
	}
	defer d.Abort()
	if err := (export.PEFT{}).Write(d, m, s.text(), export.Options{}); err != nil {
		return err
	}
	return d.Commit()
}

// names implements input.
func (t *tuning) names() []string { return t.paths }

func (t *tuning) close() {}

// Tuned is what a run on examples reads.
type Tuned struct {
	Train, HeldOut, Validation *examples.Set // nil: there is none
	Windows                    int           // of the first epoch
	Seen                       int64         // tokens of examples that were handed out
	Epochs                     float64       // that were
}

// Tuned is what the run reads, if it reads examples.
func (s *Session) Tuned() (x Tuned, ok bool) {
	t, ok := s.read.(*tuning)
	if !ok {
		return x, false
	}
	l := s.layout(s.Recipe.Batch.Batch, s.Recipe.GradAccum)
	return Tuned{t.set, t.apart, t.validation, l.Windows(t.set), t.loader.Tokens(), t.loader.Epochs()}, true
}
