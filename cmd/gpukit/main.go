// Command gpukit measures a GPU with steplm, on a machine that has nothing but the kit's folder:
// no network, no Go, perhaps no Vulkan loader. `just gpu-kit` makes the folder, its run.sh starts
// this program.
//
// Stages run in order of what they are worth, each within its share of the time that is left, and
// what they find is in the summary as soon as it is known: a kit that is cut off has told
// everything until then. A stage that fails is a result; only what makes a summary impossible is an
// error.
//
// It is its own program, of Go alone: where steplm cannot start, this still says why.
//
// Exit codes: 0 when the stages came to their end, whatever they found; 1 after an error or a signal,
// and with --strict where something did not hold; 2 after a command line that cannot be understood.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// cli is the command line.
type cli struct {
	Run       runCmd       `cmd:"" default:"withargs" help:"Run the stages and write the summary (default)."`
	Reference referenceCmd `cmd:"" hidden:"" help:"Make the losses that the stage steprun compares with."`
	Pack      packCmd      `cmd:"" hidden:"" help:"Put the programs into the kit."`
}

// runCmd runs the stages.
type runCmd struct {
	Minutes    float64  `default:"12" placeholder:"N" help:"Time for everything. Default: ${default}."`
	Out        string   `placeholder:"DIR" help:"Where summary.md, summary.json and log.txt are written. Default: a new folder named by the time."`
	Device     string   `placeholder:"DEVICE" help:"As steplm's --device. Default: the first that steplm lists."`
	Loader     string   `placeholder:"FILE" help:"The Vulkan loader, libvulkan.so.1. Default: the system's, else the kit's."`
	Driver     string   `placeholder:"FILE" help:"The Vulkan driver's manifest, NAME.json. Default: what the loader finds, else what lies in places it does not look at."`
	Python     string   `default:"python3" placeholder:"PROGRAM" help:"Python with PyTorch, to compare with. Default: ${default}."`
	Peak       float64  `placeholder:"GFLOPS" help:"The card's fp32 peak by its data sheet. Default: by PyTorch's or nvidia-smi's clocks and multiprocessors."`
	Size       string   `default:"auto" enum:"auto,full,small" help:"What is measured: full (130m and 368m) or small (tiny models, as a CPU can); auto takes small on devices that compute on the CPU."`
	Skip       []string `placeholder:"STAGE" help:"Stages to leave out."`
	Only       []string `xor:"stages" placeholder:"STAGE" help:"Stages to run, and no others. There are: ${stages}."`
	Strict     bool     `help:"End with exit code 1 unless all stages passed and all goals are met."`
	Experiment string   `placeholder:"FILE" help:"Command lines of steplm that run in the time that remains. Default: the kit's experiment.txt."`
}

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // A second signal ends the program at once.
	parser := kong.Must(&cli{}, kong.Name("run.sh"), kong.Description("Measure a GPU with steplm."),
		kong.Vars{"stages": strings.Join(stageNames(), ", ")},
		kong.BindTo(ctx, (*context.Context)(nil)), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "gpu-kit: error: %v; run.sh --help lists the flags\n", err)
		return 2
	}
	switch err := parsed.Run(); {
	case errors.As(err, new(usageError)):
		fmt.Fprintln(os.Stderr, "gpu-kit: error:", err)
		return 2
	case err != nil:
		fmt.Fprintln(os.Stderr, "gpu-kit: error:", err)
		return 1
	}
	return 0
}

// usageError is a command line that cannot be understood.
type usageError struct{ error }

// home is the folder of the kit: where this program lies.
func home() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("the kit does not know where it lies: %w", err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", err
	}
	return filepath.Dir(self), nil
}

// Run is the command.
func (c *runCmd) Run(ctx context.Context) error {
	if !(c.Minutes > 0 && c.Minutes <= 24*60) {
		return usageError{fmt.Errorf("--minutes %g: it must be above 0 and at most a day", c.Minutes)}
	}
	for _, list := range []struct {
		flag  string
		names []string
	}{{"skip", c.Skip}, {"only", c.Only}} {
		if err := checkStages(list.flag, list.names); err != nil {
			return usageError{err}
		}
	}
	dir, err := home()
	if err != nil {
		return err
	}
	k, err := newKit(dir, c, time.Now())
	if err != nil {
		return err
	}
	defer k.close()
	return k.run(ctx)
}
