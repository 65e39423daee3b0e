package train

// OptimizerFlags say how gradients become updates.
type OptimizerFlags struct {
	LR          []float64 `default:"${lr}" range:"0<..100" help:"Peak learning rate, one for all stages or one for each."`
	WeightDecay []float64 `default:"${weight_decay}" range:"0..100" help:"Decoupled weight decay, likewise; never on norms."`
	Beta1       float64   `name:"beta1" default:"${beta1}" range:"0..1" help:"AdamW's first beta."`
	Beta2       float64   `name:"beta2" default:"${beta2}" range:"0..1" help:"AdamW's second beta."`
	Eps         float64   `default:"${eps}" range:"0<..1" help:"AdamW's epsilon."`
	ClipNorm    float64   `default:"${clip_norm}" range:"0..1e9" help:"Global gradient norm to clip to; 0: no clipping."`
}

// ScheduleFlags say how the learning rate goes.
type ScheduleFlags struct {
	Schedule     string   `placeholder:"NAME" help:"Learning-rate schedule: cosine (with --method relora, with its restarts), linear, constant, or wsd (warm-up, stable, decay). Default: cosine; with --method stack, wsd."`
	ScheduleOver string   `placeholder:"SPAN" help:"What one schedule spans: each stage or the run. Default: stage; with wsd or --method stack, run."`
	DecayShare   float64  `default:"${decay_share}" placeholder:"SHARE" range:"0..1" help:"Share of a wsd schedule, at its end, in which it decays. Default: ${default}."`
	DecayShape   string   `default:"${decay_shape}" enum:"linear,1-sqrt,cosine" help:"How wsd decays: ${enum}. Default: ${default}."`
	Warmup       *int     `placeholder:"N" range:"0..1e9" help:"Warm-up steps at the start. Default: 5 % of the stage's schedule."`
	MinLRRatio   *float64 `name:"min-lr-ratio" placeholder:"RATIO" range:"0..1" help:"Where the schedule ends, relative to its peak. Default: 0.1 of cosine, 0 of linear and wsd."`
}

// ReLoRAFlags say what a merge of ReLoRA keeps.
type ReLoRAFlags struct {
	MergeEvery  *int    `placeholder:"R" range:"1..1e9" help:"Steps between merges. Default: a quarter of the run."`
	MergeKeep   float64 `default:"${merge_keep}" placeholder:"SHARE" range:"0..1" help:"Share of the adapters' moments that a merge keeps. Default: ${default}."`
	MergeKeepBy string  `default:"${merge_keep_by}" enum:"magnitude,each_magnitude,random" help:"Which: ${enum}; magnitude is the first moment's, each_magnitude each one's, as ReLoRA's program has it. Default: ${default}."`
}
