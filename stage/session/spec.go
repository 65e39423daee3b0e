package session

import (
	"cmp"

	"steplm/model"
	"steplm/model/optim"
	"steplm/stage/recipe"
	"steplm/stage/reduce"
)

// Spec is what a user asks for, as JSON. An option has the name of its field, or what the tag
// "option" says; the tag "resume" marks what a run may go on with otherwise than it was begun: files may
// have moved, and their content is compared by its hash.
type Spec struct {
	Model      Model      `json:"model"`
	Data       Data       `json:"data"`
	Tuning     Tuning     `json:"tuning,omitzero"`
	Method     Method     `json:"method"`
	Optimizer  Optimizer  `json:"optimizer"`
	Schedule   Schedule   `json:"schedule"`
	Guard      Guard      `json:"guard"`
	Outer      Outer      `json:"outer"`
	Memory     Memory     `json:"memory"`
	Evaluation Evaluation `json:"evaluation"`
	Output     Output     `json:"output"`
	Processes  Processes  `json:"processes,omitzero"`
}

// Model says which model: a preset or a config.json with any dimension replaced, or all dimensions.
type Model struct {
	Name string `json:"name,omitempty" option:"model"` // preset or file
	// Init is a model to begin with, as FindModel finds it; its shape is the run's, but for layers and vocabulary.
	Init      string `json:"init,omitempty" resume:"free"`
	Hidden    *int   `json:"hidden,omitempty"`
	FFN       *int   `json:"ffn,omitempty"`
	Layers    *int   `json:"layers,omitempty"`
	Heads     *int   `json:"heads,omitempty"`
	KVHeads   *int   `json:"kv_heads,omitempty"`
	Vocab     *int   `json:"vocab,omitempty"`
	Tied      *bool  `json:"tied,omitempty"`
	MaxSeqLen *int   `json:"max_seq_len,omitempty"`
	SeqLen    *int   `json:"seq_len,omitempty"` // positions of a window; default: 256 or MaxSeqLen
	Mask      string `json:"mask"`              // of attention among a window's documents, see model.Documents
	Positions string `json:"positions"`         // likewise
}

// Data says what is read, and how.
type Data struct {
	Train      []string `json:"train,omitempty" option:"data" resume:"free"` // PATH, or several of PATH=WEIGHT
	Tokenizer  string   `json:"tokenizer,omitempty" resume:"free"`
	TextColumn string   `json:"text_column,omitempty"`
	MinScore   *float64 `json:"min_score,omitempty"`
	Language   []string `json:"language,omitempty"`
	MinChars   int64    `json:"min_chars,omitempty"`
	MaxChars   int64    `json:"max_chars,omitempty"`
	Dedupe     bool     `json:"dedupe,omitempty"`
	Holdout    float64  `json:"holdout,omitempty"` // share of the documents kept apart
	SkipBad    bool     `json:"skip_bad,omitempty"`
	MaxLine    int64    `json:"max_line,omitempty" resume:"free"` // bytes; 0: data.DefaultMaxLine
	Shards     int      `json:"shards,omitempty"`                 // of what the hub has, the first so many; 0: all
	Stream     bool     `json:"stream,omitempty" resume:"free"`
	Cache      string   `json:"cache,omitempty" resume:"free"` // of tokens; "": the user's
	// ParseSpecial: names of special tokens in documents are those tokens. Runs of a version that did not say it are.
	ParseSpecial bool `json:"parse_special"`
	// DocumentTokens are those around each document, by the name of a DocumentKind; of an earlier version's run, eos.
	DocumentTokens string `json:"document_tokens"`
	// EOS and BOS are the tokens that end and begin a document, by their text or id; "": the tokenizer's. A run's
	// folder names what was taken; one of an earlier version goes on with what it took by name.
	EOS     string `json:"eos,omitempty"`
	BOS     string `json:"bos,omitempty"`
	Workers int    `json:"workers,omitempty" resume:"free"` // that tokenize; 0: one for each core
}

// Tuning says that the data are examples of instructions and answers, and what follows from that. Zero, they are
// documents.
type Tuning struct {
	// Batching is how examples become windows, Padded or Packed; "": the data are documents.
	Batching     string `json:"batching,omitempty"`
	Examples     int    `json:"examples,omitempty"`                    // the first, of those not kept apart; 0: all
	Patience     int    `json:"patience,omitempty" resume:"free"`      // evaluations without a lower loss; 0: no end
	Samples      int    `json:"samples,omitempty" resume:"free"`       // answers at each evaluation
	SampleTokens int    `json:"sample_tokens,omitempty" resume:"free"` // of an answer, at most
	// Date is the day that a chat template is told, as YYYY-MM-DD; "": that on which the run begins. A run's folder
	// names what was taken, where the template asks; a run of an earlier version goes on with the day on which it does.
	Date string `json:"date,omitempty"`
}

// How examples become windows.
const (
	Padded = "padded" // one example each, those of a micro-batch as long as its longest
	Packed = "packed" // whole examples one after another, attention inside each
)

// Method is how the model trains, and what follows from growth and LoRA.
type Method struct {
	Name               string   `json:"name" option:"method"`
	Stages             *int     `json:"stages,omitempty"`
	Split              string   `json:"split,omitempty"` // layers of each stage, or recipe.SplitPaper, recipe.SplitReal
	GrowAt             float64  `json:"grow_at"`
	Operator           string   `json:"operator,omitempty"` // "": the method's
	Position           string   `json:"position"`
	Rank               *int     `json:"rank,omitempty"`
	Alpha              *float64 `json:"alpha,omitempty"`
	LoRATargets        []string `json:"lora_targets"`
	Adapters           string   `json:"adapters"` // at the next growth: merge or keep
	AdapterLR          float64  `json:"adapter_lr"`
	AdapterWeightDecay float64  `json:"adapter_weight_decay"`
	TrainEmbedding     bool     `json:"train_embedding"`
	TrainHead          bool     `json:"train_head"`
	TrainNorms         bool     `json:"train_norms"`
	RankStabilized     bool     `json:"rank_stabilized,omitempty"`
	NoLoRA             bool     `json:"no_lora,omitempty"`
	NoFreeze           bool     `json:"no_freeze,omitempty"`
	GrownState         string   `json:"grown_state,omitempty"` // of the optimizer; "": the method's
	InitLayers         string   `json:"init_layers,omitempty"` // of Model.Init: recipe.InitTrain or recipe.InitFreeze
	WarmStart          *float64 `json:"warm_start,omitempty"`  // share of the steps; the method's
	MergeEvery         *int     `json:"merge_every,omitempty"` // steps; a quarter of the run
	MergeKeep          float64  `json:"merge_keep"`            // share of LoRA's moments
	MergeKeepBy        string   `json:"merge_keep_by"`         // one of optim.KeptBy
}

// Optimizer is which one, and its settings. Those that are nil are as the optimizer was published;
// their names are those of optim's settings, and an optimizer that has none of the name refuses it.
type Optimizer struct {
	Name            string    `json:"name,omitempty" option:"optimizer"` // "": the method's
	Beta1           *float64  `json:"beta1,omitempty"`
	Beta2           *float64  `json:"beta2,omitempty"`
	Eps             *float64  `json:"eps,omitempty"`
	Momentum        *float64  `json:"momentum,omitempty"`
	ProjectionRank  *int      `json:"projection_rank,omitempty"`
	ProjectionEvery *int      `json:"projection_every,omitempty"`
	UpdateScale     *float64  `json:"update_scale,omitempty"`
	NormRate        *float64  `json:"norm_rate,omitempty"`
	AdapterRule     *string   `json:"adapter_rule,omitempty"`
	AdamRate        *float64  `json:"adam_rate,omitempty"`
	ClipNorm        *float64  `json:"clip_norm,omitempty"`    // nil: the method's
	WeightDecay     []float64 `json:"weight_decay,omitempty"` // of all stages or of each; none: the method's
}

// Schedule is how long the run is, in what batches, and the course of the learning rate.
type Schedule struct {
	Steps       int       `json:"steps,omitempty"`  // of the whole run; or
	Tokens      int64     `json:"tokens,omitempty"` // of the whole run; or
	FLOPs       float64   `json:"flops,omitempty"`  // at most, of the whole run; or
	Epochs      int       `json:"epochs,omitempty"` // of examples
	BatchSize   int       `json:"batch_size"`
	GradAccum   int       `json:"grad_accum"`
	LR          []float64 `json:"lr,omitempty"`                     // of all stages or of each; none: as published
	EmbeddingLR float64   `json:"embedding_lr"`                     // factor on it for embedding and head
	Name        string    `json:"name,omitempty" option:"schedule"` // "": the method's
	Over        string    `json:"schedule_over,omitempty"`          // "": recipe.OverStage, under wsd OverRun
	DecayShare  float64   `json:"decay_share"`                      // of a wsd course
	DecayShape  string    `json:"decay_shape"`                      // one of optim.Shapes
	Warmup      *int      `json:"warmup,omitempty"`                 // steps; nil: 5 % of the stage's
	Rewarm      *int      `json:"rewarm,omitempty"`                 // likewise
	MinLRRatio  *float64  `json:"min_lr_ratio,omitempty"`           // the schedule's
	Seed        uint64    `json:"seed"`
}

// Guard is what becomes of a step whose loss, or gradient norm, is far above the median of those before.
type Guard struct {
	OnSpike      string  `json:"on_spike,omitempty"` // one of recipe.OnSpike; "": nothing
	SpikeLoss    float64 `json:"spike_loss"`         // multiples of the median
	SpikeNorm    float64 `json:"spike_norm"`         // likewise
	SpikeWindow  int     `json:"spike_window"`       // steps of the median
	MaxRollbacks int     `json:"max_rollbacks"`
}

// Outer is the optimizer of rounds: what is done, every so many steps, with the change that they made.
type Outer struct {
	Every    int     `json:"outer_every,omitempty"` // steps of a round; 0: none
	LR       float64 `json:"outer_lr"`
	Momentum float64 `json:"outer_momentum"`
	Wire     string  `json:"outer_wire,omitempty"`  // how a change travels, one of outer.Wires; "": as it is
	Start    int     `json:"outer_start,omitempty"` // the step after which the first round begins
	// Process is the number of one that joined another's run, from 1 on, which has an order of the data of its own.
	Process int `json:"process,omitempty"`
}

// Memory is how numbers are kept, and what may be there at once.
type Memory struct {
	Precision   string `json:"precision"`
	States      string `json:"states,omitempty"` // "": those of the precision
	Release     bool   `json:"release,omitempty"`
	Gradients   string `json:"gradients"`
	Frozen      string `json:"frozen,omitempty"` // "": the precision
	Recompute   string `json:"recompute"`
	HeadRows    int    `json:"head_rows,omitempty"`
	MemoryLimit int64  `json:"memory_limit,omitempty"` // bytes; 0: none
}

// Evaluation is what is measured beside the loss.
type Evaluation struct {
	Validation string `json:"validation,omitempty" resume:"free"`
	Wikitext   string `json:"wikitext,omitempty" resume:"free"`
	EvalEvery  int    `json:"eval_every,omitempty" resume:"free"`
	EvalTokens int64  `json:"eval_tokens" resume:"free"` // of each set, within the run; 0: none
	// FinalEvalTokens are scored of each set at the end; 0: none.
	FinalEvalTokens int64 `json:"final_eval_tokens" resume:"free"`
	// SampleEvery is steps between samples; 0: none. SamplePrompts is a file of prompts, a line each; "": three short
	// ones.
	SampleEvery   int    `json:"sample_every,omitempty" resume:"free"`
	SamplePrompts string `json:"sample_prompts,omitempty" resume:"free"`
}

// Short is the measuring of a run that only chooses something: of what is held out or the validation set, at its end.
func (e Evaluation) Short(tokens int64) Evaluation {
	return Evaluation{Validation: e.Validation, FinalEvalTokens: tokens}
}

// Output is where the run is kept, how often it is saved, and in which formats it is logged besides its metrics.
type Output struct {
	Out       string   `json:"out,omitempty"`
	SaveEvery int      `json:"save_every" resume:"free"`
	Keep      int      `json:"keep" resume:"free"`
	Log       []string `json:"log,omitempty" resume:"free"` // names of logs.Formats
}

// Processes is how gradients travel, where several processes train together.
type Processes struct {
	Wire      string `json:"wire,omitempty"` // one of reduce.Wires; "": the first
	NoOverlap bool   `json:"no_overlap,omitempty" resume:"free"`
}

// Options are those of a reducer.
func (p Processes) Options() (reduce.Options, error) {
	o := reduce.Options{Wire: reduce.Wire(cmp.Or(p.Wire, string(reduce.WireF32))), NoOverlap: p.NoOverlap}
	if err := o.Wire.Check(); err != nil {
		return o, badOption("wire", p.Wire, "%v", err)
	}
	return o, nil
}

// Default is what a user gets who asks for nothing in particular: no data, no length, no folder.
func Default() Spec {
	return Spec{
		Model: Model{Mask: model.MaskNone, Positions: model.PositionsContinue},
		Data:  Data{TextColumn: "text", DocumentTokens: DocumentTokensAuto},
		Method: Method{
			Name: "step", Split: recipe.SplitPaper, GrowAt: 0.75, Position: "upper",
			MergeKeep: 0.1, MergeKeepBy: optim.ByMagnitude,
			LoRATargets: model.LinearNames(), Adapters: adaptersMerge,
			AdapterLR: 1, AdapterWeightDecay: 1, TrainEmbedding: true, TrainHead: true, TrainNorms: true,
		},
		Schedule: Schedule{BatchSize: 8, GradAccum: 1, EmbeddingLR: 1,
			DecayShare: 0.1, DecayShape: optim.Shapes()[0], Seed: 1},
		Guard:      Guard{SpikeLoss: 1.5, SpikeNorm: 10, SpikeWindow: 50, MaxRollbacks: 3},
		Outer:      Outer{LR: 0.7, Momentum: 0.9},
		Memory:     Memory{Precision: model.BF16, Gradients: recipe.GradientsAuto, Recompute: recipe.RecomputeAuto},
		Evaluation: Evaluation{EvalTokens: 32768, FinalEvalTokens: 2_000_000},
		Output:     Output{SaveEvery: 200, Keep: 2},
	}
}

// TuningDefault is what a user gets who asks for nothing in particular of instruction tuning.
func TuningDefault() Spec {
	s := Default()
	s.Method.Name, s.Tuning = recipe.VanillaName, Tuning{Batching: Packed, Samples: 3, SampleTokens: 64}
	return s
}

// What becomes of LoRA at the next growth.
const (
	adaptersMerge = "merge"
	adaptersKeep  = "keep"
)
