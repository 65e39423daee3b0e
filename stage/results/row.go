package results

// Row is what there is to say of one run.
type Row struct {
	Experiment string // its name; "": the run belongs to none
	Run        string // the folder's name
	Method     string // one of recipe.Methods
	Optimizer  string // one of optim.Names
	Stages     int    // 1, and one more for each growth
	Seed       uint64
	// LR is the peak learning rate, of all stages or of each.
	LR     []float64
	Tokens int64 // that were seen
	// FLOPs are the operations of the steps that were done, as recipe.Recipe.FLOPs counts them.
	FLOPs float64
	// PeakBytes are the most bytes on the device at once by its ledger, growth included; 0: not known.
	PeakBytes int64
	// StateBytes are those of weights, adapters, gradients and optimizer in the largest stage; 0: not known.
	StateBytes int64
	// TrainLoss is the mean of the last tenth of the steps that were done, one at least, nats per token; NaN: none.
	TrainLoss float64
	// ValidationPerplexity is per token, measured at the run's end on the validation set, or where there is none on the
	// documents that are held out; NaN: not measured.
	ValidationPerplexity float64
	// WikitextWordPerplexity is per word, measured at the run's end; NaN: not measured.
	WikitextWordPerplexity float64
	// TokensPerSecond is of all steps together, evaluations and saves left out; NaN: none. It alone differs from one
	// execution of a run to the next.
	TokensPerSecond float64
	Status          Status

	// Problem says what is wrong with a run that is not done, in words; no column has it.
	Problem string
}

// Status is how far a run has come.
type Status string

// Every row has one of these.
const (
	Done       Status = "done"
	Selection  Status = "selection"  // done, and by it an experiment chose something: no result
	Unfinished Status = "unfinished" // it can be resumed
	Diverged   Status = "diverged"   // its loss, or what was measured of it, is no number, or it spiked
	Failed     Status = "failed"     // it ended in another error
	Missing    Status = "missing"    // there is no run in its folder
	Damaged    Status = "damaged"    // a file of its folder cannot be understood
	Version    Status = "version"    // another version of the program wrote what this one cannot read
)

// Over reports whether the run ended, well or badly.
func (s Status) Over() bool { return s == Done || s == Selection || s == Diverged || s == Failed }
