// Command steplm pre-trains LLaMA-style language models in WGSL kernels and
// grows them by STEP. One file per command; flags, wiring and printing are
// here, everything else is in the packages. It is the only place that exits.
//
// Exit codes: 0, 1 after an error, 2 after a command line that cannot be
// understood. Either way one line on standard error says what to do.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"steplm/stage/recipe"
	"steplm/stage/session"
)

type cli struct {
	Demo      demoCmd      `cmd:"" help:"Train a tiny model by STEP on the embedded corpus and say what happened."`
	Pretrain  pretrainCmd  `cmd:"" help:"Train a model by STEP or vanilla."`
	Plan      planCmd      `cmd:"" help:"Say how a model is split into stages and what each needs, in bytes; no device is used."`
	Plot      plotCmd      `cmd:"" help:"Draw the loss curves of runs as an SVG image."`
	Eval      evalCmd      `cmd:"" help:"Measure a model."`
	Score     scoreCmd     `cmd:"" help:"Print the log-probability of every token of a text."`
	Devices   devicesGroup `cmd:"" help:"List the devices and test each, or tune one."`
	Bench     benchCmd     `cmd:"" help:"Measure how fast a device is: products, attention, training steps."`
	Tokenizer tokenizerCmd `cmd:"" help:"Train a tokenizer or use one."`
	Data      dataCmd      `cmd:"" help:"Fetch training data, look into it or tokenize it."`
	Kernels   kernelsCmd   `cmd:"" hidden:"" help:"List the kernels of a device or compile them."`
}

type evalCmd struct {
	Ppl evalPplCmd `cmd:"" help:"Perplexity on Parquet shards, text or WikiText."`
}

type devicesGroup struct {
	List devicesCmd     `cmd:"" default:"withargs" help:"List the devices and test each (default)."`
	Tune devicesTuneCmd `cmd:"" help:"Find out which variants of kernels a device is fastest with, ahead of a run."`
}

type benchCmd struct {
	Matmul    benchMatmulCmd    `cmd:"" help:"One product of matrices, in the device's variant or all."`
	Attention benchAttentionCmd `cmd:"" help:"Attention, forward and backward."`
	Step      benchStepCmd      `cmd:"" help:"Training steps of every stage, on random tokens; of STEP with vanilla beside it."`
	All       benchAllCmd       `cmd:"" help:"The whole set of docs/benchmarks.md, and its ratios."`
}

type tokenizerCmd struct {
	Train  tokenizerTrainCmd  `cmd:"" help:"Train a byte-level BPE tokenizer."`
	Encode tokenizerEncodeCmd `cmd:"" help:"Turn JSON strings into JSON arrays of ids, line by line."`
	Decode tokenizerDecodeCmd `cmd:"" help:"Turn JSON arrays of ids into JSON strings, line by line."`
}

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// flagVars is what flags' defaults and help refer to.
var flagVars = specDefaults(kong.Vars{
	"parallel": strconv.Itoa(session.FetchParallel),
	"methods":  strings.Join(recipe.MethodNames(), ","),
})

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	// Between collections Go's heap would otherwise double, and the process's peak
	// memory with it; what lives there is small, so collecting more often costs little.
	debug.SetGCPercent(25)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once

	parser := kong.Must(&cli{}, kong.Name("steplm"),
		kong.Description(
			"Pre-train LLaMA-style language models with WGSL kernels, by STEP (staged training) or vanilla."),
		flagVars,
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	parsed, err := parser.Parse(args)
	if err == nil {
		err = parsed.Run()
	} else {
		err = usageError{err}
	}
	switch usage := (usageError{}); {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		complain("%s; run `%s --help`", explain(err), command(parsed, err))
		return 2
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		complain("interrupted")
	default:
		complain("%s", explain(err))
	}
	return 1
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
