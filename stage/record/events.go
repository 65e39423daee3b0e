package record

// Event is a line of a run's metrics: Metrics, a Growth, Transition, Evaluation, Samples, Checkpoint, Resume, Rollback,
// Round, Best, Failure or End.
type Event interface {
	// Kind is the line's "event"; a step's line has none.
	Kind() string
	// Moment is when it happened.
	Moment() At
}

// events has one of each kind, for the reader.
var events = []Event{Metrics{}, Growth{}, Transition{}, Evaluation{}, Samples{}, Checkpoint{}, Resume{}, Rollback{},
	Round{}, Best{}, Failure{}, End{}}

// At is a moment of a run.
type At struct {
	Step  int `json:"step"`  // that were done
	Stage int `json:"stage"` // 1-based
	Peaks     // since the stage began; of a transition, its own
}

// Moment is the moment itself.
func (a At) Moment() At { return a }

// Peaks are the most bytes that were taken at once.
type Peaks struct {
	PeakBytes   int64 `json:"peak_bytes"`         // on the device, by its ledger
	ProcessPeak int64 `json:"process_peak_bytes"` // resident in the process; 0 where the system does not tell
}

// Metrics are what one step reports.
type Metrics struct {
	Step            int     `json:"step"`  // 1-based
	Stage           int     `json:"stage"` // 1-based
	Loss            float64 `json:"loss"`  // mean over the step's targets, nats
	LR              float64 `json:"lr"`
	GradNorm        float64 `json:"grad_norm"` // before clipping
	Tokens          int64   `json:"tokens"`    // seen so far
	TokensPerSecond float64 `json:"tokens_per_second"`
	FLOPsPerSecond  float64 `json:"flops_per_second"` // operations counted by model.Layout.FLOPsOf
	// FLOPs is the step's operations that count in a budget, with attention's of these documents and of rows as long
	// as these; 0: they are those that the recipe has for every step of a stage.
	FLOPs float64          `json:"flops,omitempty"`
	Bytes map[string]int64 `json:"bytes"` // live on the device, by class
	// OuterBytes are those that an outer optimizer keeps in the process's memory; 0: there is none.
	OuterBytes int64 `json:"outer_bytes,omitempty"`
	Peaks            // since the stage began
}

// Kind is none: a step is no event by name.
func (Metrics) Kind() string { return "" }

// Moment is right after the step.
func (m Metrics) Moment() At { return At{m.Step, m.Stage, m.Peaks} }

// Transition is the beginning of a stage. Its stage is the one entered.
type Transition struct {
	At
	From      int     `json:"from_layers"`
	To        int     `json:"to_layers"`
	New       []int   `json:"new_blocks"` // positions
	Note      string  `json:"note,omitempty"`
	Trainable int64   `json:"trainable_parameters"`
	Frozen    int64   `json:"frozen_parameters"`
	Seconds   float64 `json:"seconds,omitempty"`
}

// Kind is that of a stage which begins without growth.
func (Transition) Kind() string { return "transition" }

// Growth is a transition in which the model grew.
type Growth struct{ Transition }

// Kind is a growth's.
func (Growth) Kind() string { return "growth" }

// Evaluation is what a task found out.
type Evaluation struct {
	At
	When    string  `json:"when,omitempty"` // every, before or after growth or transition, end
	Set     string  `json:"set,omitempty"`  // the task's name
	Result  Result  `json:"result"`
	Seconds float64 `json:"seconds,omitempty"`
}

// Kind is an evaluation's.
func (Evaluation) Kind() string { return "eval" }

// Samples are what the model made of prompts after a step.
type Samples struct {
	At
	When    string   `json:"when,omitempty"` // as of Evaluation; "": by steps
	Samples []Sample `json:"samples"`
	Seconds float64  `json:"seconds,omitempty"`
}

// Sample is one prompt, continued.
type Sample struct {
	Prompt    string   `json:"prompt"` // of an example what was asked, without the words around it
	IDs       []uint32 `json:"ids"`    // that were added
	Text      string   `json:"text"`
	Reference string   `json:"reference,omitempty"` // what an example answers
	Finish    string   `json:"finish_reason"`       // length, or eos: a token that ends a text, the last of IDs
}

// Kind is that of samples.
func (Samples) Kind() string { return "samples" }

// Checkpoint is a save.
type Checkpoint struct {
	At
	Checkpoint string  `json:"checkpoint,omitempty"` // its name
	Seconds    float64 `json:"seconds,omitempty"`
}

// Kind is a save's.
func (Checkpoint) Kind() string { return "checkpoint" }

// Resume is a run that goes on from a checkpoint.
type Resume struct {
	At
	Checkpoint string `json:"checkpoint,omitempty"` // its name
	Device     string `json:"device,omitempty"`
}

// Kind is a resumed run's.
func (Resume) Kind() string { return "resume" }

// Rollback is a run that went back from a spike to a checkpoint, the moment of which it has. The spike's batches are
// left out from then on.
type Rollback struct {
	At
	Checkpoint string  `json:"checkpoint,omitempty"` // its name; none: the run began again
	Spike      int     `json:"spike_step"`
	Loss       float64 `json:"loss"`
	GradNorm   float64 `json:"grad_norm"`
	NotFinite  bool    `json:"not_finite,omitempty"` // one of the two, which JSON cannot hold: then both are 0
	MedianLoss float64 `json:"median_loss"`          // of the steps before the spike
	MedianNorm float64 `json:"median_grad_norm"`
	Rollbacks  int     `json:"rollbacks"` // of the run so far
}

// Kind is that of a run that goes back.
func (Rollback) Kind() string { return "rollback" }

// Best says which step's model the trained one is, of a run with patience.
type Best struct {
	At
	Checkpoint string  `json:"checkpoint"` // its name
	Of         int     `json:"best_step"`
	Set        string  `json:"set"`             // that the loss is of
	Loss       float64 `json:"loss"`            // nats
	Early      bool    `json:"early,omitempty"` // the run ended before its last step
}

// Kind is that of a run that chose.
func (Best) Kind() string { return "best" }

// Round is the end of a round that several processes made.
type Round struct {
	At
	Tokens  int64   `json:"tokens"`            // of all shares
	Shares  []Share `json:"shares"`            // that the average is of; a worker knows of its own
	Missing []Share `json:"missing,omitempty"` // of processes that began it
	// Bytes of this process's connections since the round before, with all that surrounds changes.
	Sent     int64   `json:"sent_bytes"`
	Received int64   `json:"received_bytes"`
	Waited   float64 `json:"waited_seconds"` // for others
}

// Share is a process's part of a round.
type Share struct {
	Process int    `json:"process"` // 0: the coordinator
	Name    string `json:"name"`
	Tokens  int64  `json:"share_tokens,omitempty"`
	Why     string `json:"why,omitempty"` // it is missing
}

// Kind is a round's.
func (Round) Kind() string { return "round" }

// Failure is the end of a run in an error after its first step. A resume cuts it off.
type Failure struct {
	At
	Error    string `json:"error"`
	Diverged bool   `json:"diverged,omitempty"` // a loss, a norm or what was measured is no number, or a spike
}

// Kind is that of a run that failed.
func (Failure) Kind() string { return "failure" }

// End is the end of a run.
type End struct {
	At
	Checkpoint string `json:"checkpoint,omitempty"` // the folder of the trained model
}

// Kind is the end's.
func (End) Kind() string { return "end" }
