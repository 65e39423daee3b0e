package bench

import (
	"io"
	"os"

	"steplm/cmd/steplm/internal/view"
)

// showBench prints what a benchmark found, for people or for other programs.
func showBench(json bool, b interface{ print(io.Writer) }) error {
	if json {
		return view.JSON(b)
	}
	b.print(os.Stdout)
	return nil
}
