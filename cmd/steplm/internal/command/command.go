// Package command is the command line as a whole: which commands there are, how one that was given is run, and how its
// error is told. A package of its own, so that the tests of each room's commands can be the command.
//
// Exit codes: 0, 1 after an error, 2 after a command line that cannot be understood, and 128 plus the signal's number
// after a signal at which a run saved: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP. Either way one line on
// standard error says what to do.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"

	"steplm/cmd/steplm/internal/bench"
	"steplm/cmd/steplm/internal/convert"
	"steplm/cmd/steplm/internal/devices"
	"steplm/cmd/steplm/internal/experiment"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/measure"
	"steplm/cmd/steplm/internal/mtbench"
	"steplm/cmd/steplm/internal/processes"
	"steplm/cmd/steplm/internal/serve"
	"steplm/cmd/steplm/internal/sft"
	"steplm/cmd/steplm/internal/speak"
	"steplm/cmd/steplm/internal/tokens"
	"steplm/cmd/steplm/internal/train"
	"steplm/stage"
	"steplm/stage/reduce"
)

// CLI has a field for each command.
type CLI struct {
	Demo       train.DemoCmd       `cmd:"" help:"Train a tiny model by STEP on the embedded corpus and say what happened."`
	Pretrain   train.PretrainCmd   `cmd:"" help:"Train a model by STEP or vanilla."`
	SFT        sft.Cmd             `cmd:"" name:"sft" help:"Tune a model on examples of instructions and answers."`
	Experiment experiment.Cmd      `cmd:"" help:"Run a comparison: many runs, resumable, with one table of results."`
	Grow       convert.GrowCmd     `cmd:"" help:"Make a model deeper without training."`
	Plan       measure.PlanCmd     `cmd:"" help:"Say how a model is split into stages and what each needs, in bytes; no device is used."`
	Plot       measure.PlotCmd     `cmd:"" help:"Draw the loss curves of runs as an SVG image."`
	Report     measure.ReportCmd   `cmd:"" help:"Show what runs came to: the table of methods, curves, memory, recipes, as one page."`
	Eval       measure.EvalCmd     `cmd:"" help:"Measure a model."`
	MTBench    mtbench.Cmd         `cmd:"" name:"mtbench" help:"Judge conversations: FastChat's MT-Bench."`
	Score      measure.ScoreCmd    `cmd:"" help:"Print the log-probability of every token of a text."`
	Generate   speak.GenerateCmd   `cmd:"" help:"Continue a text, or many."`
	Chat       speak.ChatCmd       `cmd:"" help:"Talk with a model on a terminal."`
	Export     convert.ExportCmd   `cmd:"" help:"Write a model for transformers, peft or llama.cpp."`
	Serve      serve.Cmd           `cmd:"" help:"Answer OpenAI's HTTP interface for a model, and show a page to talk to it."`
	Devices    devices.Group       `cmd:"" help:"List the devices and test each, or tune one."`
	Bench      bench.Cmd           `cmd:"" help:"Measure how fast a device is: products, attention, training steps, generating."`
	Tokenizer  tokens.TokenizerCmd `cmd:"" help:"Train a tokenizer or use one."`
	Data       tokens.DataCmd      `cmd:"" help:"Fetch training data, look into it or tokenize it."`
	Completion completions         `cmd:"" help:"Say how a shell completes steplm's commands and flags."`
	Help       helpCmd             `cmd:"" help:"Show what a command does, its flags and examples."`
	Version    kong.VersionFlag    `help:"Print what the program was built from."`
	RunOne     experiment.RunCmd   `cmd:"" name:"experiment-run" hidden:"" help:"One run of an experiment, which starts it."`
	Kernels    devices.KernelsCmd  `cmd:"" hidden:"" help:"List the kernels of a device or compile them."`
}

// completions is how shells are told; the library's way.
type completions = kongcompletion.Completion

// New makes the parser of the command line.
func New(ctx context.Context) *kong.Kong {
	parser := kong.Must(&CLI{}, kong.Name("steplm"),
		kong.Description(
			"Pre-train LLaMA-style language models with WGSL kernels, by STEP (staged training) or vanilla."),
		flags.Vars, kong.Vars{"version": version()}, flags.Numbers,
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	addExamples(parser.Model.Node, "")
	return parser
}

// Run runs a command line, without the program's name, and returns the exit code.
func Run(args []string) int {
	ctx, signalled := untilSignal()

	parser := New(ctx)
	kongcompletion.Register(parser) // answers where a shell asks
	parsed, err := parser.Parse(flags.JoinNegative(args))
	if err == nil {
		if err = flags.CheckRanges(parsed); err != nil {
			err = flags.UsageError{Err: err}
		}
	} else {
		err = flags.UsageError{Err: err}
	}
	if err == nil {
		// Between collections Go's heap would otherwise double, and the process's peak
		// memory with it; what lives there is small, so collecting more often costs little.
		debug.SetGCPercent(25)
		err = parsed.Run()
	}
	if err == nil {
		return 0
	}
	code := tell(ctx, parsed, err, signalled)
	if among := (*processes.Error)(nil); errors.As(err, &among) {
		among.End(code)
	}
	return code
}

// tell prints an error's one line, and returns the exit code. Of several processes with the same error the one with
// the lowest rank tells it.
func tell(ctx context.Context, parsed *kong.Context, err error, signalled func() syscall.Signal) int {
	if among := (*processes.Error)(nil); errors.As(err, &among) {
		among.Turn()
	} else if l, ok := reduce.FindLauncher(); ok {
		processes.Turn(l.Rank)
		if !errors.Is(err, stage.ErrStopped) { // which is of all
			err = fmt.Errorf("%s: %w", l, err)
		}
	}
	switch usage := (flags.UsageError{}); {
	case errors.As(err, &usage):
		complain("%s; run `%s --help`", flags.Explain(err), command(parsed, err))
		return 2
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		complain("interrupted")
	case errors.Is(err, stage.ErrStopped) && signalled() != 0:
		complain("%s", flags.Explain(err))
		return 128 + int(signalled())
	default:
		complain("%s", flags.Explain(err))
	}
	return 1
}

// untilSignal is a context that the first signal to end the program ends, and which signal that was; 0: none. A second
// one ends the program at once. SIGHUP is one, so that a run whose terminal or connection is gone saves, unless it is
// ignored, as under nohup.
func untilSignal() (ctx context.Context, signalled func() syscall.Signal) {
	list := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		list = append(list, syscall.SIGHUP)
	}
	ctx, cancel := context.WithCancel(context.Background())
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, list...)
	var number atomic.Int32
	go func() {
		s, _ := (<-arrived).(syscall.Signal)
		number.Store(int32(s))
		signal.Reset(list...)
		cancel()
	}()
	return ctx, func() syscall.Signal { return syscall.Signal(number.Load()) }
}

// complain prints the one line of an error.
func complain(format string, args ...any) {
	lines := strings.FieldsFunc(fmt.Sprintf(format, args...), func(r rune) bool { return r == '\n' || r == '\r' })
	fmt.Fprintln(os.Stderr, "steplm: error:", strings.Join(lines, "; "))
}

// command is as much of the command as was understood.
func command(parsed *kong.Context, err error) string {
	if p := (*kong.ParseError)(nil); errors.As(err, &p) {
		parsed = p.Context
	}
	if parsed != nil {
		if node := parsed.Selected(); node != nil {
			return node.FullPath()
		}
	}
	return "steplm"
}
