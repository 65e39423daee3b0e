package devices_test

import (
	"testing"
	"time"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/cmd/steplm/internal/command"
	"steplm/cmd/steplm/internal/devices"
)

func TestMain(m *testing.M) {
	clitest.Main(m, command.Run, map[string]func(){
		devices.ChildAborts: devices.Abort,
		devices.ChildHangs:  func() { time.Sleep(time.Hour) },
	})
}
