// Package advice carries what would help from where a fact is known to where a user is told.
//
// It exists because libraries know facts and options, and commands know how options are
// spelled: an error here names the options by the names that a run's specification has for
// them, and a command words the help. What Go cannot enforce: that no library's text spells
// a flag (a test of the command reads them all).
package advice

// Option is one choice of a user.
type Option string

// The options that advice is about, or that not every method heeds.
const (
	Method             Option = "method"
	SeqLen             Option = "seq_len"
	MaxSeqLen          Option = "max_seq_len"
	BatchSize          Option = "batch_size"
	GradAccum          Option = "grad_accum"
	States             Option = "states"
	Release            Option = "release"
	Gradients          Option = "gradients"
	Frozen             Option = "frozen"
	Recompute          Option = "recompute"
	Beta2              Option = "beta2"
	LR                 Option = "lr"
	EmbeddingLR        Option = "embedding_lr"
	Schedule           Option = "schedule"
	Out                Option = "out"
	Resume             Option = "resume"
	Stages             Option = "stages"
	Split              Option = "split"
	Rank               Option = "rank"
	Alpha              Option = "alpha"
	LoRATargets        Option = "lora_targets"
	TrainEmbedding     Option = "train_embedding"
	TrainHead          Option = "train_head"
	TrainNorms         Option = "train_norms"
	GrowAt             Option = "grow_at"
	Operator           Option = "operator"
	Position           Option = "position"
	Adapters           Option = "adapters"
	AdapterLR          Option = "adapter_lr"
	AdapterWeightDecay Option = "adapter_weight_decay"
	Rewarm             Option = "rewarm"
	RankStabilized     Option = "rank_stabilized"
	NoLoRA             Option = "no_lora"
	NoFreeze           Option = "no_freeze"
	State              Option = "grown_state"
	ScheduleOver       Option = "schedule_over"
	DecayShare         Option = "decay_share"
	WarmStart          Option = "warm_start"
	MergeEvery         Option = "merge_every"
	MergeKeep          Option = "merge_keep"
	MergeKeepBy        Option = "merge_keep_by"
	FLOPs              Option = "flops"
	Optimizer          Option = "optimizer"
	OnSpike            Option = "on_spike"
	MaxRollbacks       Option = "max_rollbacks"
	SampleEvery        Option = "sample_every"
	Layers             Option = "layers"
	Init               Option = "init"
	InitLayers         Option = "init_layers"
	To                 Option = "to"
	DType              Option = "dtype"
	Tokenizer          Option = "tokenizer"
	EOS                Option = "eos"
)

// How a remedy changes an option.
type How string

// The ways; their text is what users read.
const (
	Use      How = "use"
	Lower    How = "lower"
	Raise    How = "raise"
	LeaveOut How = "leave out"
	Another  How = "choose another"
	Name     How = "name it by"
)

// Remedy is a change of one option. Value is of Use alone; "" for a switch.
type Remedy struct {
	How    How
	Option Option
	Value  string
}

// Way is what would help, all of it together.
type Way []Remedy

// Error is a fact, and ways that would each help.
type Error struct {
	Fact error
	Ways []Way
}

func (e *Error) Error() string { return e.Fact.Error() }
func (e *Error) Unwrap() error { return e.Fact }

// With adds ways to a fact.
func With(fact error, ways ...Way) error { return &Error{fact, ways} }
