package train

import "steplm/cmd/steplm/internal/flags"

// OptimizerFlags say how gradients become updates. What is left out is as the optimizer was published.
type OptimizerFlags struct {
	LR          []float64 `placeholder:"X" range:"0<..100" help:"Peak learning rate, one for all stages or one for each. Default: the optimizer's published one: adamw and scale 1e-3 (scale from 1B on less), apollo, apollo-mini, fira and galore 0.01, muon 0.02; with --method relora half of it in the warm start."`
	EmbeddingLR float64   `name:"embedding-lr" default:"${embedding_lr}" range:"0<..1000" placeholder:"X" help:"Factor on the learning rate for embedding and head. Default: ${default}."`
	WeightDecay []float64 `placeholder:"X" range:"0..100" help:"Decoupled weight decay, likewise; never on norms. Default: 0.1; with --method galore or relora, 0."`
	flags.OptimizerFlags
	Beta1       *float64 `name:"beta1" placeholder:"B" range:"0..1" help:"Adam's first beta. Default: the optimizer's published one, of AdamW 0.9."`
	Beta2       *float64 `name:"beta2" placeholder:"B" range:"0..1" help:"Adam's second beta. Default: the published one, of AdamW 0.95."`
	Eps         *float64 `placeholder:"E" range:"0<..1" help:"Adam's epsilon. Default: the published one, of AdamW 1e-8."`
	Momentum    *float64 `placeholder:"B" range:"0..1" help:"Momentum of muon's linears or of scale's head. Default: the published one, 0.95 or 0.9."`
	UpdateScale *float64 `placeholder:"X" range:"0<..1e6" help:"What scales updates: of galore and fira, by default 0.25 (fira from 1B on 0.0625); its root those of apollo, 1, and apollo-mini, 128."`
	NormRate    *float64 `placeholder:"X" range:"0..1e6" help:"Factor on the learning rate of scale's norms. Default: 20; from 1B on less."`
	AdamRate    *float64 `placeholder:"X" range:"0..1e6" help:"Factor on the learning rate of what muon leaves to AdamW. Default: 0.015."`
	ClipNorm    *float64 `placeholder:"X" range:"0..1e9" help:"Global gradient norm to clip to; 0: no clipping. Default: 1; with --method galore, 0."`
}

// ScheduleFlags say how the learning rate goes.
type ScheduleFlags struct {
	Schedule     string   `placeholder:"NAME" help:"Learning-rate schedule: cosine (with --method relora, with its restarts), linear, constant, or wsd (warm-up, stable, decay). Default: cosine; with --method stack, wsd."`
	ScheduleOver string   `placeholder:"SPAN" help:"What one schedule spans: each stage or the run. Default: stage; with wsd or --method stack, run."`
	DecayShare   float64  `default:"${decay_share}" placeholder:"SHARE" range:"0..1" help:"Share of a wsd schedule, at its end, in which it decays. Default: ${default}."`
	DecayShape   string   `default:"${decay_shape}" enum:"linear,1-sqrt,cosine" help:"How wsd decays: ${enum}. Default: ${default}."`
	Warmup       *int     `placeholder:"N" range:"0..1e9" help:"Warm-up steps at the start. Default: 5 % of the stage's schedule; with --method galore 10 %, with stack 2 %, with relora a tenth of the steps between merges once LoRA trains."`
	MinLRRatio   *float64 `name:"min-lr-ratio" placeholder:"RATIO" range:"0..1" help:"Where the schedule ends, relative to its peak. Default: 0.1 of cosine, 0 of linear and wsd."`
}

// ReLoRAFlags say what a merge of ReLoRA keeps.
type ReLoRAFlags struct {
	MergeEvery  *int    `placeholder:"R" range:"1..1e9" help:"Steps between merges. Default: a quarter of the run."`
	MergeKeep   float64 `default:"${merge_keep}" placeholder:"SHARE" range:"0..1" help:"Share of the adapters' moments that a merge keeps. Default: ${default}."`
	MergeKeepBy string  `default:"${merge_keep_by}" enum:"magnitude,each_magnitude,random" help:"Which: ${enum}; magnitude is the first moment's, each_magnitude each one's, as ReLoRA's program has it. Default: ${default}."`
}

// GuardFlags say what becomes of a spike.
type GuardFlags struct {
	OnSpike      string  `placeholder:"WHAT" help:"When a step's loss or gradient norm is far above the median of those before: stop, or rollback to the last checkpoint and leave the step's batches out. Default: nothing."`
	SpikeLoss    float64 `default:"${spike_loss}" placeholder:"X" range:"1<..1e9" help:"Multiple of the median that makes a loss a spike. Default: ${default}."`
	SpikeNorm    float64 `default:"${spike_norm}" placeholder:"X" range:"1<..1e9" help:"Likewise of the gradient norm. Default: ${default}."`
	SpikeWindow  int     `default:"${spike_window}" placeholder:"N" range:"1..1e9" help:"Steps of the median, of the same stage. Default: ${default}."`
	MaxRollbacks int     `default:"${max_rollbacks}" placeholder:"N" range:"0..1e9" help:"Most rollbacks of a run; one more stops it. Default: ${default}."`
}
