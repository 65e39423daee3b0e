package command

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"

	"steplm/cmd/steplm/internal/flags"
)

// helpCmd is --help as a command.
type helpCmd struct {
	Command []string `arg:"" optional:"" name:"command" help:"Of this command, such as data tokenize."`
}

// Run shows the help and ends the program.
func (c *helpCmd) Run(at *kong.Context) error {
	if _, err := at.Kong.Parse(append(c.Command, "--help")); err != nil {
		return flags.UsageError{Err: err}
	}
	return nil
}

// version is what the program was built from, as the go command notes it.
func version() string {
	text := "steplm"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return text
	}
	if v := info.Main.Version; v != "" {
		text += " " + v
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if revision := settings["vcs.revision"]; revision != "" {
		changed := ""
		if settings["vcs.modified"] == "true" {
			changed = ", with changes"
		}
		text += fmt.Sprintf(" (revision %.12s of %s%s)", revision, settings["vcs.time"], changed)
	}
	return fmt.Sprintf("%s, %s, %s/%s", text, info.GoVersion, runtime.GOOS, runtime.GOARCH)
}
