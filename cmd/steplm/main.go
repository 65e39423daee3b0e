// Command steplm pre-trains LLaMA-style language models in WGSL kernels and grows them by STEP. What it does is in
// internal packages, one a kind of command; everything else is in the libraries. It is the only place that exits.
//
// Exit codes: 0, 1 after an error, 2 after a command line that cannot be understood, and 128 plus the signal's number
// after a signal at which a run saved: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP. Either way one line on
// standard error says what to do.
package main

import (
	"os"

	"steplm/cmd/steplm/internal/command"
)

func main() {
	os.Exit(command.Run(os.Args[1:]))
}
