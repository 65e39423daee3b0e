package flags

import (
	"fmt"
	"os"

	"steplm/cmd/steplm/internal/view"
	"steplm/stage/session"
)

// SessionUI shows what a session does on standard error; with json warnings alone.
func SessionUI(json bool) session.UI {
	return session.UI{
		Progress: func(what string, total int64, unit string) session.Progress {
			return view.NewProgress(view.ProgressOutput(json), what, total, unit)
		},
		Warn: func(text string) { view.Print(os.Stderr, fmt.Sprintln("steplm: warning:", text)) },
	}
}
