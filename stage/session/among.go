package session

import (
	"context"
	"os"

	"steplm/stage"
	"steplm/stage/reduce"
)

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
	return fileHash(path)
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
	run := &stage.Run{
		Recipe: s.Recipe, Device: s.Device, Batches: s.batches, Folder: stage.FollowFolder(s.Spec.Output.Out, hash),
		Report: report, SaveEvery: s.Spec.Output.SaveEvery, EvalEvery: s.Spec.Evaluation.EvalEvery,
		EvalTokens: s.Spec.Evaluation.EvalTokens, Reducer: s.Reducer,
	}
	if s.Recipe.Init != nil {
		run.Weights = s.initWeights
	}
	if s.Resumed {
		return run.Resume(ctx)
	}
	return run.Start(ctx)
}
