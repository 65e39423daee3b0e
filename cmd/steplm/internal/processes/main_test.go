package processes_test

import (
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/cmd/steplm/internal/command"
)

func TestMain(m *testing.M) { clitest.Main(m, command.Run, nil) }
