package session

import (
	"context"
	"errors"
	"os"

	"steplm/gpu"
	"steplm/internal/disk"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/export"
	"steplm/stage"
	"steplm/stage/record"
	"steplm/stage/reduce"
)

// final is how a run's trained model is written.
var final export.Format = export.HuggingFace{}

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
	folder, err := s.folder()
	if err != nil {
		return err
	}
	kept, err := s.lead(ctx, folder, report, began)
	failed := err != nil && !errors.Is(err, stage.ErrStopped)
	return errors.Join(err, s.leaveFolder(folder, failed && !kept))
}

// leaveFolder releases the run's folder, which goes where this process began it for nothing.
func (s *Session) leaveFolder(f *stage.Folder, nothing bool) error {
	if nothing && !s.Resumed {
		return s.discard(f)
	}
	f.Close() // What is written is on the disk.
	return nil
}

// lead trains as the only process of the run, or as the one that leads, and tells whether its folder has anything to
// keep.
func (s *Session) lead(ctx context.Context, folder *stage.Folder, report stage.Report, began func()) (kept bool,
	err error) {
	log, err := s.log(report.Warn)
	if err != nil {
		return false, err
	}
	defer log.Close()
	if _, err := s.Reducer.FromLead(folder.Hash()); err != nil {
		return false, err
	}
	if began != nil {
		began()
	}
	var carded error
	run := s.run(folder, carding(logged(keeping(report, &kept), log), func(e record.Event) {
		carded = errors.Join(carded, s.keepCard(e))
	}))
	run.Tasks, run.Peers = s.tasks, s.Peers
	run.Keep, run.FinalEvalTokens = s.Spec.Output.Keep, s.Spec.Evaluation.FinalEvalTokens
	if s.meets.Leads() { // All have the same model.
		run.Export = func(m *model.Model, d *checkpoint.Dir) error { return export.Trained(final, d, m, s.text()) }
	}
	if err = s.train(ctx, run); err == nil {
		err = s.keepAdapters(run.Trained)
	}
	return kept, errors.Join(err, carded)
}

// keeping is a report that hears whether the folder has anything to keep: a step, or where the run was joined, which is
// saved before one.
func keeping(report stage.Report, kept *bool) stage.Report {
	step, event := report.Step, report.Event
	report.Step = func(m record.Metrics) {
		*kept = true
		if step != nil {
			step(m)
		}
	}
	report.Event = func(e record.Event) {
		if _, ok := e.(record.Checkpoint); ok {
			*kept = true
		}
		if event != nil {
			event(e)
		}
	}
	return report
}

// carding is a report of which a model card is kept: of every event, and of a model that is not measured yet, since an
// end to the evaluation leaves a card, too.
func carding(report stage.Report, keep func(record.Event)) stage.Report {
	event, exported := report.Event, report.Exported
	report.Event = func(e record.Event) {
		if event != nil {
			event(e)
		}
		keep(e)
	}
	report.Exported = func(dir string) {
		keep(record.End{})
		if exported != nil {
			exported(dir)
		}
	}
	return report
}

// follow trains as a process that does not lead: it writes nothing, and reads the checkpoint that the run goes on from.
func (s *Session) follow(ctx context.Context, report stage.Report) error {
	hash, err := s.Reducer.FromLead("") // The folder is there once the process that leads has it.
	if err != nil {
		return err
	}
	if s.longer { // as the folder has it, which knows what its checkpoints name
		if s.Recipe, err = stage.ReadRecipe(s.Spec.Output.Out); err != nil {
			return err
		}
	}
	return s.train(ctx, s.run(stage.FollowFolder(s.Spec.Output.Out, hash), report))
}

// run is what every process of the run has, and with it what the controller decides by.
func (s *Session) run(folder *stage.Folder, report stage.Report) *stage.Run {
	run := &stage.Run{
		Recipe: s.Recipe, Device: s.Device, Batches: s.batches, Folder: folder, Report: report, Reducer: s.Reducer,
		SaveEvery: s.Spec.Output.SaveEvery, EvalEvery: s.Spec.Evaluation.EvalEvery,
		EvalTokens: s.Spec.Evaluation.EvalTokens, Samples: s.heard,
	}
	s.tune(run)
	if s.Recipe.Init != nil {
		run.Weights = s.initWeights
	}
	return run
}

// train begins a run or goes on with it.
func (s *Session) train(ctx context.Context, run *stage.Run) error {
	if s.Resumed {
		return run.Resume(ctx)
	}
	return run.Start(ctx)
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
		return nil, errors.Join(err, s.leaveFolder(f, true))
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
	if s.meets != nil && s.meets.Leads() {
		if err := clearRanks(out); err != nil {
			return nil, err
		}
	}
	return stage.CreateFolder(out, s.Recipe, spec)
}

// agree compares what the processes of a run are about to do.
func (s *Session) agree() error {
	together := s.Reducer
	if s.meets != nil {
		together = s.meets
		if err := s.sameRounds(); err != nil {
			return err
		}
	}
	if together.Size() == 1 {
		return nil
	}
	program, err := programHash()
	if err != nil {
		return err
	}
	wire := s.Spec.Processes.Wire
	folder := "begun"
	if s.Resumed || s.adds {
		folder = "resumed"
	}
	return together.Agree([]reduce.Fact{
		{Name: "program (SHA-256)", Value: program}, {Name: "data (hash)", Value: s.identity.Train},
		{Name: "tokenizer (hash)", Value: s.identity.Tokenizer}, {Name: "recipe (hash)", Value: s.Recipe.Hash()},
		{Name: "type on the wire", Value: wire}, {Name: "beginning", Value: folder},
	})
}

// programHash is of the program that runs.
func programHash() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	return disk.Hash(path)
}
