// Package train has the commands that train a model, pretrain and demo, and what they show of it: progress, speed,
// memory, a trace.
package train

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"steplm/cmd/steplm/internal/devices"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/processes"
	"steplm/cmd/steplm/internal/view"
	"steplm/model/advice"
	"steplm/stage"
	"steplm/stage/reduce"
	"steplm/stage/rounds"
	"steplm/stage/session"
)

// PretrainCmd trains a model. Its defaults are what the paper leaves open.
type PretrainCmd struct {
	Method      string `default:"${method}" enum:"${methods}" help:"Training method: ${enum}."`
	Config      string `placeholder:"FILE" help:"Take what is asked for from a JSON file; flags that are given count more."`
	WriteConfig bool   `help:"Print what is asked for as --config takes it, and do nothing else."`
	flags.ModelFlags

	Validation string `placeholder:"PATH" help:"Validation data, for token perplexity."`
	Wikitext   string `placeholder:"PATH" help:"WikiText, for word perplexity: wiki.test.raw or Parquet rows."`
	Tokenizer  string `placeholder:"PATH" help:"tokenizer.json, a SentencePiece .model, or a directory with one or with vocab.json and merges.txt."`
	Out        string `placeholder:"DIR" help:"Run folder to begin."`
	Resume     string `placeholder:"DIR" help:"Go on with the run in this folder, from its last checkpoint. Nothing else is needed; flags that are given must say what the run was begun with, or be one of --save-every, --keep, --log, --eval-every, --eval-tokens, --final-eval-tokens, --sample-every, --sample-prompts, --validation, --wikitext, --stream, --cache, --max-line, --workers, --no-overlap and those of the device; --data, --tokenizer and --init may name other places of the same, and --steps or --tokens a longer run."`

	Steps     int     `xor:"length" placeholder:"N" range:"1..1e9" help:"Optimizer steps of the whole run."`
	Tokens    int64   `xor:"length" placeholder:"N" range:"1..1e15" help:"Tokens of the whole run, instead of --steps."`
	FLOPs     float64 `name:"flops" xor:"length" placeholder:"X" range:"1..1e30" help:"Most floating point operations of the whole run, such as 1e18, instead of --steps: as many steps as fit. Counted are forward, backward, attention, head, LoRA and the optimizer's products, not what recomputation adds; with --mask documents attention as if it crossed them, which is the most there can be."`
	BatchSize int     `default:"${batch_size}" range:"1..1e9" help:"Sequences per micro-batch."`
	GradAccum int     `default:"${grad_accum}" range:"1..1e9" help:"Micro-batches per optimizer step."`

	DataFlags          `group:"Data"`
	flags.StorageFlags `group:"Memory"`
	OptimizerFlags     `group:"Optimizer"`
	GuardFlags         `group:"Spikes"`
	flags.OuterFlags   `group:"Rounds"`
	flags.RoundsFlags  `group:"Rounds"`
	ScheduleFlags      `group:"Schedule"`
	ReLoRAFlags        `group:"ReLoRA"`

	flags.StepFlags `group:"STEP"`
	GrowAt          float64 `group:"STEP" default:"${grow_at}" range:"0<..1" help:"Fraction of a stage's schedule after which the model grows."`
	Operator        string  `group:"STEP" placeholder:"NAME" help:"Growth operator: mean of the neighbours, copy (of the lower one), copy_upper, stack (the whole stack again), zero (a copy that adds nothing at first) or random. Default: mean; with --method stack, stack."`
	Position        string  `group:"STEP" default:"${position}" help:"Where new layers go: upper, intermediate, lower or random."`
	Adapters        string  `group:"STEP" default:"${adapters}" enum:"merge,keep" help:"Adapters at the next growth: ${enum}."`
	GrownState      string  `group:"STEP" placeholder:"STATE" help:"Optimizer state, at growth, of what goes on training: fresh or keep. Default: fresh; with --method stack, keep."`

	AdapterLR          float64 `group:"STEP" default:"${adapter_lr}" range:"0..1000" help:"Factor on the learning rate for adapters."`
	AdapterWeightDecay float64 `group:"STEP" default:"${adapter_weight_decay}" range:"0..1000" help:"Factor on the weight decay for adapters."`
	Rewarm             *int    `group:"STEP" placeholder:"N" range:"0..1e9" help:"Warm-up steps after each growth or merge. Default: 5 % of the stage's schedule, or 2 % of the steps between merges; none with --method stack."`
	Seed               uint64  `default:"${seed}" help:"Seed of initial weights, order of the data and random growth."`

	SaveEvery       int      `group:"Output" default:"${save_every}" range:"0..1e9" help:"Steps between checkpoints, besides those before growth and at the end; 0: those alone."`
	Keep            int      `group:"Output" default:"${keep}" range:"0..1e9" help:"Checkpoints to keep; 0: all."`
	Log             []string `group:"Output" placeholder:"FORMAT" help:"Also keep the curves in the run's folder as other programs read them: ${log_formats}; several with commas. With --resume, of the whole run."`
	EvalEvery       int      `default:"0" range:"0..1e9" help:"Steps between evaluations; 0: only around growth and at the end."`
	EvalTokens      int64    `default:"${eval_tokens}" range:"0..1e15" help:"Tokens of each set scored by evaluations within the run; 0: none."`
	FinalEvalTokens int64    `default:"${final_eval_tokens}" range:"0..1e15" help:"Tokens of each set scored at the end, after the trained model is written; 0: none."`
	SampleEvery     int      `placeholder:"N" range:"0..1e9" help:"Steps between samples: short continuations of prompts, kept in the run's metrics. Default: none."`
	SamplePrompts   string   `placeholder:"FILE" help:"The prompts of samples, one in each line. Default: three short ones."`
	processes.Flags `group:"Processes"`
	flags.DeviceFlag
	devices.TuneFlags
	TraceFlags
	JSON bool `name:"json" help:"Print the lines of metrics.jsonl instead of progress, and at the end one with what the model says."`

	unused string         // names flags that were given and that the method does not heed
	joined *rounds.Worker // nil: it joins no run
	among  *reduce.MPI    // the processes that train together; nil: this one is alone
}

// Run is the command.
func (c *PretrainCmd) Run(ctx context.Context, line *kong.Context) error {
	given := flags.Given(line)
	spec, err := c.spec(given)
	if err == nil && c.Join != "" {
		spec, err = c.join(ctx, spec, given)
	}
	if err != nil {
		return flags.AsUsage(err)
	}
	if c.joined != nil {
		defer func() { c.joined.Close(why(err)) }()
	}
	if c.WriteConfig {
		return view.JSON(spec)
	}
	if err := c.warnUnused(spec, given); err != nil {
		return err
	}
	if c.among, err = processes.Join(); err != nil {
		return err
	}
	if c.among == nil {
		err = c.job(spec).Run(ctx) // which the coordinator is told of
		return err
	}
	if c.Host != "" || c.Join != "" {
		return flags.Usagef("--host and --join: processes that mpirun or srun started train with each other, and are " +
			"joined by no others; leave them out")
	}
	return c.trainAmong(ctx, spec, given)
}

// job is the run that the flags ask for.
func (c *PretrainCmd) job(spec session.Spec) Job {
	return Job{Spec: spec, Resume: c.Resume != "", JSON: c.JSON, Device: processes.Device(c.DeviceFlag, c.among),
		Tune: c.TuneFlags, Trace: c.TraceFlags, Unused: c.unused, Opened: c.opened, Among: c.among}
}

// join joins the run of another process, which says how to train.
func (c *PretrainCmd) join(ctx context.Context, asked session.Spec, given []advice.Option) (session.Spec, error) {
	var err error
	if c.joined, err = c.Dial(ctx); err != nil {
		return asked, err
	}
	spec, err := session.Join(c.joined.Welcome, asked, given)
	if err != nil {
		c.joined.Close(why(err))
	}
	return spec, err
}

// why is what other processes of a run are told of its end here.
func why(err error) string {
	switch {
	case err == nil:
		return "the run is over"
	case errors.Is(err, stage.ErrStopped):
		return "it was stopped"
	}
	return "it failed: " + err.Error()
}

// Spec is what is asked for: of the run that goes on, of a file, or by the flags alone.
func (c *PretrainCmd) spec(given []advice.Option) (session.Spec, error) {
	for _, f := range []struct {
		flag  string
		value string
	}{{"--tokenizer", c.Tokenizer}, {"--out", c.Out}} { // An unset variable of a shell.
		if f.value == "" && slices.Contains(given, flags.OptionOf(strings.TrimPrefix(f.flag, "--"))) {
			return session.Spec{}, flags.Usagef("%s is empty", f.flag)
		}
	}
	if c.Steps == 0 && slices.Contains(given, "steps") {
		return session.Spec{}, flags.Usagef("--steps 0: it must be 1 or more")
	}
	if err := c.StepFlags.Check(c.Method); err != nil {
		return session.Spec{}, err
	}
	if err := c.CheckRounds(c.Resume, c.Config, c.OuterEvery); err != nil {
		return session.Spec{}, err
	}
	var asked session.Spec
	var err error
	if c.Config != "" {
		asked, err = flags.ReadConfig(session.Default(), c.Config, c, given)
	} else {
		asked, err = flags.SpecOf(c)
	}
	if err != nil || c.Resume == "" {
		return asked, err
	}
	if c.Config != "" {
		return asked, flags.Usagef("--config and --resume: the run in %s has its own configuration; leave --config out",
			c.Resume)
	}
	own, err := session.Saved(c.Resume)
	if errors.Is(err, session.ErrNoSpec) {
		// Its recipe is compared with what the flags make.
		if asked.Output.Out == "" {
			asked.Output.Out = c.Resume
		}
		if len(asked.Data.Train) == 0 || asked.Data.Tokenizer == "" {
			return asked, fmt.Errorf("%w: repeat the flags that it was begun with beside --resume", err)
		}
		return asked, nil
	}
	if err != nil {
		return asked, err
	}
	return own.Merge(asked, given)
}

// warnUnused names flags that are given and that the method does not heed.
func (c *PretrainCmd) warnUnused(spec session.Spec, given []advice.Option) error {
	list, err := Unheeded(spec.Method.Name, given)
	if len(list) > 0 {
		c.unused = fmt.Sprintf("%s: of no effect with --method %s", strings.Join(list, ", "), spec.Method.Name)
	}
	return err
}

// opened has a run that was opened join another, or lets others join it; it returns what they are told in the end.
func (c *PretrainCmd) opened(s *session.Session) (ended func(err error), err error) {
	if c.joined != nil {
		if err := s.Joins(c.joined); err != nil {
			return nil, err
		}
	}
	tell, err := c.HostRun(s)
	return func(err error) { tell(why(err), errors.Is(err, stage.ErrStopped)) }, flags.AsUsage(err)
}
