// Package mtbench has the commands of MT-Bench: a model answers its questions, a judge says how well, and its judgments
// are added up.
//
// It is a room of its own because it is between two models: one on a device here, one behind an address that costs
// money. Whatever is paid for is on the disk before the next is asked.
package mtbench

import (
	"fmt"
	"os"
	"path/filepath"

	"steplm/cmd/steplm/internal/flags"
	mt "steplm/stage/mtbench"
)

// Cmd is the group of commands.
type Cmd struct {
	Answers AnswersCmd `cmd:"" help:"Have a model answer the questions."`
	Judge   JudgeCmd   `cmd:"" help:"Have a model behind OpenAI's interface judge answers."`
	Show    ShowCmd    `cmd:"" help:"Add up judgments: by model, turn and category."`
}

// warn tells of something that is not as it might be thought.
func warn(format string, args ...any) { flags.SessionUI(true).Warn(fmt.Sprintf(format, args...)) }

// questions reads the first so many questions; 0: all.
func questions(path string, limit int) ([]mt.Question, error) {
	list, err := mt.ReadQuestions(path)
	if limit > 0 && limit < len(list) {
		list = list[:limit]
	}
	return list, err
}

// openLog opens a file to be appended to, in a folder that is made where there is none.
func openLog(path string) (*mt.Log, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return mt.OpenLog(path)
}
