// Package sft has the command that tunes a model on examples of instructions and answers. It fills a Spec; what runs is
// what pretrain runs.
package sft

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"steplm/cmd/steplm/internal/devices"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/train"
	"steplm/cmd/steplm/internal/view"
	"steplm/model/advice"
	"steplm/model/optim"
	"steplm/stage/recipe"
	"steplm/stage/session"
)

// Cmd tunes a model.
type Cmd struct {
	Model       string   `placeholder:"MODEL" help:"The model to tune: a run's folder, RUN@step-N, a checkpoint or a Hugging Face directory."`
	Data        []string `sep:"none" placeholder:"PATH" help:"Examples: a directory, a glob or a file of Alpaca's records (instruction, input, output) or of conversations (messages) in JSON, JSON Lines or Parquet, or hf://datasets/OWNER/NAME, which is fetched. May be given several times."`
	Full        bool     `xor:"parameters" help:"Train all parameters. This is the default."`
	LoRA        bool     `name:"lora" xor:"parameters" help:"Train LoRA alone; the weights stay as they are."`
	Out         string   `placeholder:"DIR" help:"Run folder to begin."`
	Resume      string   `placeholder:"DIR" help:"Go on with the run in this folder, from its last checkpoint. Nothing else is needed; flags that are given must say what the run was begun with, or be one of --save-every, --keep, --log, --eval-every, --eval-tokens, --final-eval-tokens, --validation, --wikitext, --patience, --samples, --sample-tokens and those of the device; --data and --tokenizer may name other places of the same, and --epochs or --steps a longer run."`
	Tokenizer   string   `placeholder:"PATH" help:"tokenizer.json, a SentencePiece .model, or a directory with one or with vocab.json and merges.txt. Default: the model's."`
	Config      string   `placeholder:"FILE" help:"Take what is asked for from a JSON file; flags that are given count more."`
	WriteConfig bool     `help:"Print what is asked for as --config takes it, and do nothing else."`

	Epochs int `xor:"length" placeholder:"N" range:"1..1e6" help:"Times that each example is trained on. Default: 3."`
	Steps  int `xor:"length" placeholder:"N" range:"1..1e9" help:"Optimizer steps of the whole run, instead of --epochs."`

	ExampleFlags         `group:"Examples"`
	LoRAFlags            `group:"LoRA"`
	flags.StorageFlags   `group:"Memory"`
	train.OptimizerFlags `group:"Optimizer"`
	train.GuardFlags     `group:"Spikes"`
	train.ScheduleFlags  `group:"Schedule"`
	MeasureFlags         `group:"Evaluation"`
	Seed                 uint64 `default:"${seed}" help:"Seed of the examples' order and of LoRA's initial values."`

	SaveEvery int      `group:"Output" default:"${save_every}" range:"0..1e9" help:"Steps between checkpoints, besides the one at the end; 0: that alone."`
	Keep      int      `group:"Output" default:"${keep}" range:"0..1e9" help:"Checkpoints to keep; 0: all."`
	Log       []string `group:"Output" placeholder:"FORMAT" help:"Also keep the curves in the run's folder as other programs read them: ${log_formats}; several with commas."`
	flags.DeviceFlag
	devices.TuneFlags
	train.TraceFlags
	JSON bool `name:"json" help:"Print the lines of metrics.jsonl instead of progress, and at the end one with what the model says."`
}

// ExampleFlags say how examples become batches.
type ExampleFlags struct {
	Batching  string `default:"packed" enum:"packed,padded" placeholder:"HOW" help:"How examples become windows: packed (whole examples one after another, attention inside each) or padded (one each, those of about one length together). Default: ${default}."`
	SeqLen    *int   `name:"seq-len" placeholder:"N" range:"1..1e8" help:"Positions per window, and most tokens of an example: longer ones are cut on the right. Default: 512, or the model's maximum if that is less."`
	MaxSeqLen *int   `name:"max-seq-len" placeholder:"N" range:"1..1e8" help:"Most positions that the model may be given. Default: the model's."`
	BatchSize int    `default:"${batch_size}" range:"1..1e9" placeholder:"N" help:"Windows per micro-batch. Default: ${default}."`
	GradAccum int    `default:"${grad_accum}" range:"1..1e9" placeholder:"N" help:"Micro-batches per optimizer step. Default: ${default}."`
	Examples  int    `default:"0" range:"0..1e9" placeholder:"N" help:"Train on the first N examples alone, of those that are not kept apart. Default: all."`
	SkipBad   bool   `help:"Leave out examples that cannot be read and count them, instead of stopping."`
	flags.SpecialFlags
	Date           string `placeholder:"DAY" help:"The date that a chat template is told which asks for it, as YYYY-MM-DD. Default: the day on which the run begins."`
	DocumentTokens string `default:"${document_tokens}" placeholder:"KIND" help:"What stands around each example that no chat template writes: eos (an end), bos-eos (a beginning too), none, or auto: a beginning where the tokenizer's own post-processor puts one or --bos names one. Default: ${default}."`
}

// LoRAFlags say what trains with --lora.
type LoRAFlags struct {
	Rank               *int     `placeholder:"R" range:"1..1e6" help:"LoRA rank. Default: a sixteenth of the hidden size, at least 4."`
	Alpha              *float64 `placeholder:"A" range:"0<..1e6" help:"LoRA alpha; adapters are scaled by alpha/rank. Default: the rank."`
	LoraTargets        []string `default:"${lora_targets}" placeholder:"NAME" help:"Linears that carry adapters. Default: all seven (${default})."`
	RankStabilized     bool     `help:"Scale adapters by alpha/sqrt(rank) instead, as rsLoRA does."`
	AdapterLR          float64  `default:"${adapter_lr}" range:"0..1000" placeholder:"X" help:"Factor on the learning rate for adapters. Default: ${default}."`
	AdapterWeightDecay float64  `default:"${adapter_weight_decay}" range:"0..1000" placeholder:"X" help:"Factor on the weight decay for adapters. Default: ${default}."`
	Adapters           string   `default:"${adapters}" enum:"merge,keep" placeholder:"WHAT" help:"At the end: merge, or keep, which writes them for peft too, beside the merged model. Default: ${default}."`
	TrainEmbedding     bool     `negatable:"" help:"Train the embedding too."`
	TrainHead          bool     `negatable:"" help:"Train the head too."`
	TrainNorms         bool     `negatable:"" help:"Train the norms too."`
}

// MeasureFlags say how good the model becomes, and when that is enough.
type MeasureFlags struct {
	Validation      string  `placeholder:"PATH" help:"Examples to measure the loss of answers on."`
	Holdout         float64 `placeholder:"SHARE" range:"0..1" help:"Keep this share of the examples apart, such as 0.02, and measure on them."`
	Wikitext        string  `placeholder:"PATH" help:"WikiText, for word perplexity: wiki.test.raw or Parquet rows."`
	Patience        int     `default:"0" range:"0..1e9" placeholder:"N" help:"Evaluations without a lower loss on --validation, or else --holdout, after which the run ends; the trained model is then that of the lowest. 0: the run has all its steps, and the last one's model. Default: ${default}."`
	Samples         int     `default:"3" range:"0..1000" placeholder:"N" help:"Answers to show at each evaluation and at the end: of the first examples that are measured on, or that are trained on. Default: ${default}."`
	SampleTokens    int     `default:"64" range:"0..1e6" placeholder:"N" help:"Tokens of such an answer, at most. Default: ${default}."`
	EvalEvery       int     `default:"0" range:"0..1e9" placeholder:"N" help:"Steps between evaluations; 0: one at the end of each epoch. Default: ${default}."`
	EvalTokens      int64   `default:"${eval_tokens}" range:"0..1e15" placeholder:"N" help:"Tokens of each set scored by evaluations within the run; 0: none. Default: ${default}."`
	FinalEvalTokens int64   `default:"${final_eval_tokens}" range:"0..1e15" placeholder:"N" help:"Tokens of each set scored at the end; 0: none. Default: ${default}."`
}

// Run is the command.
func (c *Cmd) Run(ctx context.Context, line *kong.Context) error {
	given := flags.Given(line)
	spec, err := c.spec(given)
	if err != nil {
		return flags.AsUsage(err)
	}
	if c.WriteConfig {
		return view.JSON(spec)
	}
	unused, err := unused(spec, given)
	if err != nil {
		return err
	}
	return train.Job{Spec: spec, Resume: c.Resume != "", JSON: c.JSON, Device: c.DeviceFlag, Tune: c.TuneFlags,
		Trace: c.TraceFlags, Unused: unused}.Run(ctx)
}

// unused names flags that are given and that have no effect on what trains.
func unused(spec session.Spec, given []advice.Option) (string, error) {
	list, err := train.Unheeded(spec.Method.Name, given)
	how := "--full, the default"
	if spec.Method.Name == recipe.LoRAName {
		how = "--lora"
		list = slices.DeleteFunc(list, func(f string) bool { return f == flags.Of(advice.Adapters) }) // are of the end
	}
	if len(list) == 0 || err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: of no effect with %s", strings.Join(list, ", "), how), nil
}

// defaultEpochs are Alpaca's.
const defaultEpochs = 3

// The rates of AdamW: Alpaca's for all parameters, and ten times as much for LoRA alone, as is usual.
const (
	fullRate = 2e-5
	loraRate = 2e-4
)

// spec is what is asked for: of the run that goes on, or by the flags.
func (c *Cmd) spec(given []advice.Option) (session.Spec, error) {
	asked, err := c.asked(given)
	if err != nil {
		return asked, err
	}
	if c.Resume == "" && asked.Model.Init == "" {
		return asked, &session.Missing{Options: [][]advice.Option{{"model"}}}
	}
	if c.Resume == "" {
		return filled(asked), nil
	}
	if c.Config != "" {
		return asked, flags.Usagef("--config and --resume: the run in %s has its own configuration; leave --config out",
			c.Resume)
	}
	own, err := session.Saved(c.Resume)
	if err != nil {
		return asked, err
	}
	if !own.Tuning.On() {
		return asked, flags.Usagef("--resume %s: that run is none of sft's; pretrain goes on with it", c.Resume)
	}
	if i := slices.Index(given, advice.Option("model")); i >= 0 {
		given[i] = "init"
	}
	if c.Full || c.LoRA {
		given = append(given, "method")
	}
	return own.Merge(asked, given)
}

// asked is what a file and the flags say, or these alone.
func (c *Cmd) asked(given []advice.Option) (s session.Spec, err error) {
	if c.Config == "" {
		s, err = flags.SpecOver(session.TuningDefault(), c)
	} else {
		s, err = flags.ReadConfig(unconfigured(), c.Config, c, given)
	}
	if err != nil {
		return s, err
	}
	if c.Config == "" || slices.Contains(given, "model") {
		s.Model.Init, s.Model.Name = c.Model, ""
	}
	switch known := s.Method.Name == recipe.VanillaName || s.Method.Name == recipe.LoRAName; {
	case c.LoRA:
		s.Method.Name = recipe.LoRAName
	case c.Full:
		s.Method.Name = recipe.VanillaName
	case !known:
		return s, fmt.Errorf("%s: method.name %s: sft trains all parameters, by %s, or %s alone", c.Config,
			s.Method.Name, recipe.VanillaName, recipe.LoRAName)
	}
	if s.Model.Name != "" {
		return s, fmt.Errorf("%s: model.name %s: sft tunes a model that is there: leave it out, and say model.init",
			c.Config, s.Model.Name)
	}
	if !s.Tuning.On() {
		return s, fmt.Errorf("%s: tuning.batching is empty: choose %s or %s", c.Config, session.Packed, session.Padded)
	}
	return s, nil
}

// unconfigured is what a file has that leaves everything out: the flags' defaults.
func unconfigured() session.Spec {
	s := session.TuningDefault()
	s.Method.TrainEmbedding, s.Method.TrainHead, s.Method.TrainNorms = false, false, false
	return s
}

// filled is a Spec with the defaults that follow from others.
func filled(s session.Spec) session.Spec {
	if c := s.Schedule; c.Epochs == 0 && c.Steps == 0 && c.Tokens == 0 && c.FLOPs == 0 {
		s.Schedule.Epochs = defaultEpochs
	}
	if len(s.Optimizer.WeightDecay) == 0 {
		s.Optimizer.WeightDecay = []float64{0}
	}
	if len(s.Schedule.LR) == 0 && (s.Optimizer.Name == "" || s.Optimizer.Name == optim.Default) {
		s.Schedule.LR = []float64{fullRate}
		if s.Method.Name == recipe.LoRAName {
			s.Schedule.LR = []float64{loraRate}
		}
	}
	return s
}
