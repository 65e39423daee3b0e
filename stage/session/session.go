package session

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"steplm/data/tokenizer"
	"steplm/gpu"
	"steplm/gpu/memory"
	"steplm/model"
	"steplm/model/advice"
	"steplm/model/checkpoint"
	"steplm/model/export"
	"steplm/stage"
	"steplm/stage/eval"
	"steplm/stage/outer"
	"steplm/stage/plan"
	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/reduce"
	"steplm/stage/samples"
	"steplm/stage/trainer"
)

// Session is a run that is ready to begin or to go on: everything is read and checked, and nothing is
// written yet.
type Session struct {
	Spec      Spec
	Recipe    recipe.Recipe
	Fitted    *plan.Fitted // to the memory limit; nil: there is none
	Tokenizer *tokenizer.Tokenizer
	Device    gpu.Device
	// Resumed: the run goes on in its folder.
	Resumed bool
	// Peers are the processes with which its rounds are made; nil: it is the only one.
	Peers outer.Peers
	// Reducer is of the processes that train together; nil: this one is alone.
	Reducer *reduce.Reducer

	// meets is of the processes that a launcher started and that make rounds, each with a session, and a folder, of its
	// own; nil: there are none.
	meets *reduce.Reducer
	adds  bool // to a run that goes on, in which this process has no part yet

	documents *tokenizer.Documents // Tokenizer, as it is for documents

	read     input
	identity recipe.Data // what read and Tokenizer are
	batches  batches
	tasks    []eval.Task
	heard    samples.Plan
	longer   bool // the run gets more steps than its folder says
}

// input is what a run reads: documents or examples.
type input interface {
	identity() string
	// batches hands out a recipe's micro-batches.
	batches(s *Session) (batches, error)
	// heldOut measures on what is kept apart and on validation data.
	heldOut(ctx context.Context, s *Session, ui UI) ([]eval.Task, error)
	// names are those of the sources.
	names() []string
	// steps is how many so many epochs have, at so many micro-batches of a size a step.
	steps(s *Session, epochs int) (int, error)
	close()
}

// batches is what hands out micro-batches.
type batches interface {
	trainer.Batches
	Close() error
}

// final is how a run's trained model is written.
var final export.Format = export.HuggingFace{}

// text is what the run trains with on the side of text.
func (s *Session) text() export.Text {
	text := export.Text{Tokenizer: s.Tokenizer, Context: s.Recipe.Batch.SeqLen}
	if s.Recipe.Init != nil { // which knew its own positions
		text.Context = 0
	}
	text.BOS, text.EOS = SpecialIDs(s.Tokenizer)
	if t, ok := s.read.(*tuning); ok {
		text.ChatTemplate = t.template()
	}
	return text
}

// SpecialIDs are the ids of the tokens that begin and end a text as an exported model has them; nil: there is none.
// Where the tokenizer has no beginning of its own, what ends a document also begins the next.
func SpecialIDs(t *tokenizer.Tokenizer) (bos, eos *int) {
	if id, ok := t.EndOfText(); ok {
		n := int(id)
		bos, eos = &n, &n
	}
	if id, ok := t.BeginOfText(); ok {
		n := int(id)
		bos = &n
	}
	return bos, eos
}

// SpecialNames is how often the name of a special token stood in documents that were tokenized so far, and was taken
// for ordinary text. What a token cache holds is not among it.
func (s *Session) SpecialNames() int64 {
	return s.documents.Names()
}

// Open reads and checks what a Spec names. The caller closes the session, and the device after it.
func Open(ctx context.Context, dev gpu.Device, spec Spec, ui UI) (*Session, error) {
	return open(ctx, dev, &Session{Spec: spec, Device: dev}, ui)
}

// OpenAmong is Open, or Resume, of a run that several processes train, in each of which a session of the same Spec is
// opened. g is how they meet; the session has it from here on.
func OpenAmong(ctx context.Context, dev gpu.Device, spec Spec, resumed bool, ui UI, g reduce.Group) (*Session, error) {
	o, err := spec.Processes.Options()
	if err != nil {
		return nil, err
	}
	return open(ctx, dev, &Session{Spec: spec, Device: dev, Resumed: resumed, Reducer: reduce.New(g, o)}, ui)
}

func open(ctx context.Context, dev gpu.Device, s *Session, ui UI) (_ *Session, err error) {
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := s.Spec.takeTokenizer(); err != nil {
		return nil, err
	}
	if err := s.Spec.complete(); err != nil {
		return nil, err
	}
	tok, err := tokenizer.Load(s.Spec.Data.Tokenizer)
	if err != nil {
		return nil, err
	}
	saved := s.Resumed && exists(filepath.Join(s.Spec.Output.Out, record.SpecFile))
	if s.Resumed && !saved { // its version knew of nothing else
		s.Spec.Data.ParseSpecial, s.Spec.Data.DocumentTokens = true, DocumentTokensEOS
	}
	if err := s.chooseTokens(tok); err != nil {
		return nil, err
	}
	if err := s.openInput(ctx, ui); err != nil {
		return nil, err
	}
	if text := s.Spec.Model.ignoredWeights(); text != "" && !s.Resumed {
		ui.Warn(text)
	}
	s.identity = recipe.Data{Train: s.read.identity(), Tokenizer: s.Tokenizer.Hash()}
	if saved {
		err = s.takeRecipe()
	} else {
		err = s.makeRecipe()
	}
	if err != nil {
		return nil, err
	}
	r := s.Recipe
	if s.batches, err = s.read.batches(s); err != nil {
		return nil, err
	}
	if s.Reducer.Leads() { // The others evaluate nothing.
		if s.tasks, err = s.measures(ctx, ui); err != nil {
			return nil, err
		}
	}
	// Before the folder: what cannot be run leaves no trace.
	if err := trainer.CheckFits(dev, r); err != nil {
		return nil, err
	}
	if s.heard, err = s.sampling(); err != nil {
		return nil, err
	}
	if err := trainer.CheckSamples(r, s.heard); err != nil {
		return nil, err
	}
	m := export.Model{Config: r.Model, DType: checkpoint.F32}
	if err := final.Check(m, s.text(), export.Options{}); err != nil {
		return nil, fmt.Errorf("the trained model could not be written as %s: %w", final.Name(), err)
	}
	if s.Resumed {
		stage.RestoreChoices(dev, s.Spec.Output.Out)
	}
	return s, nil
}

// need is options of which one is needed, and whether one is there.
type need struct {
	any   []advice.Option
	there bool
}

// complete refuses a Spec that lacks what every run needs, or has numbers that are none.
func (s Spec) complete() error {
	missing := &Missing{}
	for _, need := range []need{
		{[]advice.Option{"data"}, len(s.Data.Train) > 0}, {[]advice.Option{"tokenizer"},
			s.Data.Tokenizer != ""}, {[]advice.Option{"out"}, s.Output.Out != ""},
		s.length(), {[]advice.Option{"init"}, s.Model.Init != "" || !s.Tuning.On()},
	} {
		if !need.there {
			missing.Options = append(missing.Options, need.any)
		}
	}
	if len(missing.Options) > 0 {
		return missing
	}
	for _, n := range []struct {
		option advice.Option
		value  int64
	}{
		{"save_every", int64(s.Output.SaveEvery)}, {"keep", int64(s.Output.Keep)},
		{"eval_every", int64(s.Evaluation.EvalEvery)}, {"eval_tokens", s.Evaluation.EvalTokens},
		{"final_eval_tokens", s.Evaluation.FinalEvalTokens},
		{advice.SampleEvery, int64(s.Evaluation.SampleEvery)},
	} {
		if n.value < 0 {
			return badOption(n.option, n.value, "it must be 0 or more")
		}
	}
	if err := s.Output.checkLog(); err != nil {
		return err
	}
	if err := s.Tuning.check(s); err != nil {
		return err
	}
	return s.Data.Check()
}

// length is what says how long the run is.
func (s Spec) length() need {
	c := s.Schedule
	if s.Tuning.On() {
		return need{Lengths, c.Steps != 0 || c.Tokens != 0 || c.FLOPs != 0 || c.Epochs != 0}
	}
	return need{[]advice.Option{optionSteps, optionTokens, advice.FLOPs}, c.Steps != 0 || c.Tokens != 0 || c.FLOPs != 0}
}

// sized is the Spec with its epochs as steps.
func (s *Session) sized() (Spec, error) {
	spec := s.Spec
	if epochs := spec.Schedule.Epochs; epochs != 0 {
		n, err := s.read.steps(s, epochs)
		if err != nil {
			return spec, err
		}
		spec.Schedule.Steps, spec.Schedule.Epochs = n, 0
	}
	return spec, nil
}

// makeRecipe makes the run that is asked for, fitted to the memory limit if there is one.
func (s *Session) makeRecipe() error {
	spec, err := s.sized()
	if err != nil {
		return err
	}
	o, err := spec.choices(s.Tokenizer.VocabSize())
	if err != nil {
		return err
	}
	o.Data, o.Processes = s.identity, s.Reducer.Size()
	if n := s.Reducer.Size(); o.GradAccum < n {
		return badOption(advice.GradAccum, o.GradAccum, "%d processes take a micro-batch each: give %d or more",
			n, n)
	}
	if o.Init != nil {
		t, err := FindModel(s.Spec.Model.Init)
		if err != nil {
			return err
		}
		if o.Init.Weights, err = t.Identity(); err != nil {
			return err
		}
	}
	if limit := s.Spec.Memory.MemoryLimit; limit > 0 {
		overhead := int64(0)
		if s.Device.Limits().CPU { // The process's memory is the device's too.
			overhead = memory.ProcessOverhead
		}
		fitted := plan.Fitted{}
		if o, fitted, err = plan.Fit(s.Spec.Method.Name, o, limit, overhead); err != nil {
			return err
		}
		s.Fitted = &fitted
	}
	s.Recipe, err = recipe.NewRecipe(s.Spec.Method.Name, o)
	return err
}

// Close ends what is read. The folder is Run's.
func (s *Session) Close() {
	if s.batches != nil {
		s.batches.Close()
	}
	if s.read != nil {
		s.read.close()
	}
}

// Run trains to the end and exports the model. A run that fails before its first step leaves no folder.
// began, unless nil, is called once the folder is there.
func (s *Session) Run(ctx context.Context, report stage.Report, began func()) (err error) {
	if err := s.agree(); err != nil {
		return err
	}
	if !s.Reducer.Leads() {
		return s.follow(ctx, report)
	}
	if s.meets != nil {
		defer func() { err = s.leave(err) }()
	}
	log, err := s.log(report.Warn)
	if err != nil {
		return err
	}
	folder, err := s.folder()
	if err != nil {
		return err
	}
	defer folder.Close()
	if _, err := s.Reducer.FromLead(folder.Hash()); err != nil {
		return err
	}
	if began != nil {
		began()
	}
	stepped, step := false, report.Step
	report.Step = func(m record.Metrics) {
		stepped = true
		if step != nil {
			step(m)
		}
	}
	defer log.Close()
	report = logged(report, log)
	var carded error
	event := report.Event
	report.Event = func(e record.Event) {
		if event != nil {
			event(e)
		}
		carded = errors.Join(carded, s.keepCard(e))
	}
	exported := report.Exported
	report.Exported = func(dir string) {
		carded = errors.Join(carded, s.keepCard(record.End{})) // An end to the evaluation leaves a card, too.
		if exported != nil {
			exported(dir)
		}
	}
	run := &stage.Run{
		Recipe: s.Recipe, Device: s.Device, Batches: s.batches, Folder: folder, Tasks: s.tasks, Report: report,
		SaveEvery: s.Spec.Output.SaveEvery, Keep: s.Spec.Output.Keep, EvalEvery: s.Spec.Evaluation.EvalEvery,
		EvalTokens: s.Spec.Evaluation.EvalTokens, FinalEvalTokens: s.Spec.Evaluation.FinalEvalTokens,
		Samples: s.heard, Peers: s.Peers, Reducer: s.Reducer,
		Export: func(m *model.Model, d *checkpoint.Dir) error { return export.Trained(final, d, m, s.text()) },
	}
	if s.Recipe.Init != nil {
		run.Weights = s.initWeights
	}
	if !s.meets.Leads() { // All have the same model.
		run.Export = nil
	}
	s.tune(run)
	if s.Resumed {
		err = run.Resume(ctx)
	} else {
		err = run.Start(ctx)
	}
	if err == nil {
		err = s.keepAdapters(run.Trained)
	}
	if err = errors.Join(err, carded); err != nil && !s.Resumed && !stepped && !errors.Is(err, stage.ErrStopped) {
		err = errors.Join(err, folder.Discard())
	}
	return err
}

// folder begins the run's folder, or takes it up, and keeps in it what this process runs on.
func (s *Session) folder() (*stage.Folder, error) {
	var f *stage.Folder
	err := s.inTurn(func() (err error) {
		f, err = s.openFolder()
		return err
	})
	if err != nil {
		return nil, err
	}
	own := gpu.Plan(s.Device.Own()).Total()
	if err := f.RunsOn(record.ThisSystem(s.Device.Name(), own)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (s *Session) openFolder() (*stage.Folder, error) {
	out := s.Spec.Output.Out
	if s.Resumed && !s.longer {
		if err := s.sameInput(out); err != nil {
			return nil, err
		}
		return stage.OpenFolder(out, s.Recipe)
	}
	spec, err := s.Spec.Absolute()
	if err != nil {
		return nil, err
	}
	if s.longer {
		f, longer, err := stage.LengthenFolder(out, s.Recipe.Steps(), spec)
		s.Recipe = longer // As the folder has it, which knows what its checkpoints name.
		return f, err
	}
	return stage.CreateFolder(out, s.Recipe, spec)
}
