package main

import (
	"context"
	"fmt"
	"os"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/cmd/steplm/internal/command"
)

// onlyReads makes the test binary a command that reads its command line, refuses what cannot be understood, and does
// nothing.
const onlyReads = "only reads"

func TestMain(m *testing.M) {
	clitest.Main(m, command.Run, map[string]func(){onlyReads: func() {
		if _, err := command.New(context.Background()).Parse(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}})
}
