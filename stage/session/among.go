package session

import (
	"os"

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
