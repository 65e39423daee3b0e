package recipe

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/advice"
	"steplm/model/optim"
	"steplm/stage/outer"
)

// Format is the version of the recipe's JSON.
const Format = 3

// Recipe is a run as pure data. Whatever the paper leaves open is a field.
type Recipe struct {
	Format    int           `json:"format"`
	Method    string        `json:"method"`
	Model     model.Config  `json:"model"` // the target
	Storage   model.Storage `json:"storage"`
	Seed      uint64        `json:"seed"`
	Init      *Init         `json:"init,omitempty"` // nil: weights are drawn from the seed
	Batch     model.Size    `json:"micro_batch"`
	GradAccum int           `json:"grad_accum"`
	Optimizer optim.Config  `json:"optimizer"`

	LoRA model.LoRALayout `json:"adapter"` // of frozen blocks
	// What trains after stage 1 besides new blocks and adapters.
	TrainEmbedding bool `json:"train_embedding"`
	TrainHead      bool `json:"train_head"`
	TrainNorms     bool `json:"train_norms"`

	Stages []Stage `json:"stages"`
	Guard  *Guard  `json:"guard,omitempty"` // against spikes; nil: none
	// Outer is the optimizer of rounds; nil: there are none.
	Outer *outer.Config `json:"outer,omitempty"`
	Data  Data          `json:"data"`
	// Earlier are the hashes that it had before it was made longer, which its checkpoints may name.
	Earlier []string `json:"earlier,omitempty"`
}

// Data identifies what a run reads, so that it never goes on with other data.
type Data struct {
	Train     string `json:"train"`     // hash of the shards' names, sizes and rows, and the filters in words
	Tokenizer string `json:"tokenizer"` // hash of its content
}

// Stage is the steps between two transitions.
type Stage struct {
	Entry  Transition `json:"entry,omitzero"` // that begins it
	Layers int        `json:"layers"`         // blocks after Entry
	Steps  int        `json:"steps"`          // optimizer steps run
	// Schedule is the course that begins with the stage, which may be longer than Steps. Without one
	// that of the stage before goes on. Warm-ups are verbs of Entry.
	Schedule *optim.Course `json:"schedule,omitempty"`
	LR       float64       `json:"lr"` // peak
	Decay    float64       `json:"weight_decay"`
	// EmbeddingLR is the peak of embedding and head where theirs is another; 0: LR.
	EmbeddingLR float64 `json:"embedding_lr,omitempty"`
	// LoRA has its own.
	LoRALR    float64 `json:"adapter_lr"`
	LoRADecay float64 `json:"adapter_weight_decay"`
}

// Schedule is the learning rate's over the whole run, in multiples of each stage's peak.
func (r Recipe) Schedule() (s optim.Schedule) {
	step := 0
	for _, stage := range r.Stages {
		if stage.Schedule != nil {
			s.Courses = append(s.Courses, optim.Begun[optim.Course]{From: step, What: *stage.Schedule})
		}
		if n := stage.Entry.Warmup(); n > 0 {
			s.Warmups = append(s.Warmups, optim.Begun[optim.Warmup]{From: step, What: optim.Warmup(n)})
		}
		step += stage.Steps
	}
	return s
}

// DecayFrom is the step after which the last course, if it is a WSD, begins to decay; 0: there is none. What comes
// before is the same in a longer run.
func (r Recipe) DecayFrom() int {
	courses := r.Schedule().Courses
	if len(courses) == 0 {
		return 0
	}
	last := courses[len(courses)-1]
	if at := last.From + last.What.Stable(); last.What.Kind == optim.WSD && at < r.Steps() {
		return at
	}
	return 0
}

// Steps is the number of optimizer steps of the whole run.
func (r Recipe) Steps() int {
	n := 0
	for _, s := range r.Stages {
		n += s.Steps
	}
	return n
}

// TokensPerStep is how many targets one optimizer step sees.
func (r Recipe) TokensPerStep() int64 { return int64(r.Batch.Rows()) * int64(r.GradAccum) }

// StageOf is the stage in which 0-based step runs, and the step's number in it.
func (r Recipe) StageOf(step int) (stage, in int) {
	for i, s := range r.Stages {
		if step < s.Steps || i == len(r.Stages)-1 {
			return i, step
		}
		step -= s.Steps
	}
	return 0, 0
}

// Round is the steps before and after the round, under Outer, that 0-based step belongs to: a round ends with its
// stage, too.
func (r Recipe) Round(step int) (begin, end int) {
	stage, in := r.StageOf(step)
	first := max(step-in, r.Outer.Start) // from which the stage's rounds count
	begin = step - (step-first)%r.Outer.Every
	return begin, min(begin+r.Outer.Every, step-in+r.Stages[stage].Steps)
}

// OuterSpecs lists what the outer optimizer keeps in a stage, in the process's memory.
func (r Recipe) OuterSpecs(l model.Layout) []gpu.Spec {
	if r.Outer == nil {
		return nil
	}
	return r.Outer.Specs(l)
}

// MaxRows bounds a micro-batch: beyond it kernels' row numbers would not hold.
const MaxRows = 1 << 24

// Validate refuses a recipe that cannot be run.
func (r Recipe) Validate() error {
	if err := r.Model.Validate(); err != nil {
		return err
	}
	if err := r.Storage.Validate(); err != nil {
		return err
	}
	if r.Storage.Release && r.GradAccum > 1 {
		return advice.With(
			fmt.Errorf("gradient release updates a parameter as soon as its gradient is complete, "+
				"and with %d micro-batches none is before the last", r.GradAccum),
			advice.Way{{How: advice.Use, Option: advice.GradAccum, Value: "1"}},
			advice.Way{{How: advice.LeaveOut, Option: advice.Release}})
	}
	if err := r.ValidSize(); err != nil {
		return err
	}
	if err := r.Optimizer.Validate(r.Storage); err != nil {
		return err
	}
	if r.Guard != nil {
		if err := r.Guard.Validate(); err != nil {
			return err
		}
	}
	if r.Outer != nil {
		if err := r.Outer.Validate(); err != nil {
			return err
		}
		if r.Outer.Start >= r.Steps() {
			return fmt.Errorf("rounds that begin after step %d of a run of %d: there would be none", r.Outer.Start,
				r.Steps())
		}
	}
	if err := r.Optimizer.Fits(r.Model); err != nil {
		return err
	}
	if len(r.Stages) == 0 {
		return fmt.Errorf("the recipe has no stages")
	}
	if err := r.validStages(); err != nil {
		return err
	}
	if err := r.Schedule().Validate(); err != nil {
		return err
	}
	return r.validLayouts()
}

// validStages refuses stages that cannot be run one by one.
func (r Recipe) validStages() error {
	for i, s := range r.Stages {
		if s.Steps < 1 {
			return fmt.Errorf("stage %d of %d runs %d steps: it needs at least one", i+1, len(r.Stages), s.Steps)
		}
		if err := s.Entry.validate(i == 0, r.Init != nil); err != nil {
			return fmt.Errorf("stage %d: %w", i+1, err)
		}
		for _, x := range []float64{s.LR, s.LoRALR, cmp.Or(s.EmbeddingLR, s.LR)} {
			if !(x > 0) || math.IsInf(x, 1) {
				return fmt.Errorf("stage %d: learning rate %g must be above 0", i+1, x)
			}
		}
		for _, x := range []float64{s.Decay, s.LoRADecay} {
			if !(x >= 0) || math.IsInf(x, 1) {
				return fmt.Errorf("stage %d: weight decay %g must be 0 or more", i+1, x)
			}
		}
	}
	return nil
}

// validLayouts refuses stages that do not lead to the model.
func (r Recipe) validLayouts() error {
	layouts, err := r.Layouts()
	if err != nil {
		return err
	}
	for _, l := range layouts {
		if err := l.Validate(); err != nil {
			return err
		}
	}
	if r.Init == nil && r.Storage.Frozen == model.Int8 && slices.ContainsFunc(layouts[0].Blocks,
		func(b model.BlockLayout) bool { return b.Frozen }) {
		return advice.With(
			fmt.Errorf("frozen weights in %s: this run freezes initial weights, which are drawn in %s", model.Int8,
				r.Storage.Precision), advice.Way{{How: advice.LeaveOut, Option: advice.Frozen}})
	}
	if r.Storage.Frozen == model.Int8 && !slices.ContainsFunc(layouts, func(l model.Layout) bool {
		return slices.ContainsFunc(l.Blocks, func(b model.BlockLayout) bool { return b.Frozen })
	}) {
		return advice.With(
			fmt.Errorf("frozen weights in %s: this run of method %s freezes nothing", model.Int8, r.Method),
			advice.Way{{How: advice.LeaveOut, Option: advice.Frozen}})
	}
	if n := len(layouts[len(layouts)-1].Blocks); n != r.Model.Layers {
		return fmt.Errorf("the last stage has %d layers, the model %d", n, r.Model.Layers)
	}
	return r.validRope(layouts[len(layouts)-1])
}

// LayersAdded is the layers that each stage adds.
func (r Recipe) LayersAdded() []int {
	var list []int
	before := 0
	for _, s := range r.Stages {
		list = append(list, s.Layers-before)
		before = s.Layers
	}
	return list
}

// ValidSize refuses micro-batches that cannot be computed.
func (r Recipe) ValidSize() error {
	if _, err := r.Batch.Documents.Resolved(); err != nil {
		return err
	}
	if r.Batch.SeqLen > r.Model.MaxSeqLen {
		return advice.With(
			fmt.Errorf("sequence length %d is above the model's %d positions", r.Batch.SeqLen, r.Model.MaxSeqLen),
			advice.Way{{How: advice.Lower, Option: advice.SeqLen}},
			advice.Way{{How: advice.Raise, Option: advice.MaxSeqLen}})
	}
	if r.Batch.Batch > MaxRows/max(1, r.Batch.SeqLen) {
		return advice.With(
			fmt.Errorf("a micro-batch of %d x %d tokens: at most %d are allowed",
				r.Batch.Batch, r.Batch.SeqLen, MaxRows),
			advice.Way{{How: advice.Lower, Option: advice.BatchSize}, {How: advice.Raise, Option: advice.GradAccum}})
	}
	if r.Batch.HeadRows < 0 {
		return fmt.Errorf("%d rows of logits at once: it must be 0 (as many as fit into 16 MiB) or more",
			r.Batch.HeadRows)
	}
	if r.Batch.Batch < 1 || r.Batch.SeqLen < 1 || r.GradAccum < 1 {
		return fmt.Errorf("batch size %d, sequence length %d and gradient accumulation %d must be 1 or more",
			r.Batch.Batch, r.Batch.SeqLen, r.GradAccum)
	}
	return nil
}

// Hash is the SHA-256 of the recipe's JSON.
func (r Recipe) Hash() string {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // plain data always marshals
	}
	return hashOf(b)
}

func hashOf(text []byte) string {
	h := sha256.Sum256(text)
	return hex.EncodeToString(h[:])
}

// Differences lists up to three fields in which two recipes differ, or is
// empty.
func (r Recipe) Differences(o Recipe) string {
	a, b := flat(r), flat(o)
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	// Top fields first: another method explains the rest.
	paths := slices.SortedFunc(maps.Keys(keys), func(x, y string) int {
		return cmp.Or(cmp.Compare(strings.Count(x, "."), strings.Count(y, ".")), cmp.Compare(x, y))
	})
	var list []string
	for _, k := range paths {
		if a[k] != b[k] {
			list = append(list, fmt.Sprintf("%s is %s there and %s here", k, or(b[k], "absent"), or(a[k], "absent")))
		}
	}
	if len(list) > 3 {
		list = append(list[:3], fmt.Sprintf("and %d more", len(list)-3))
	}
	return strings.Join(list, "; ")
}

func or(s, empty string) string {
	if s == "" {
		return empty
	}
	return s
}

// flat is a recipe as path -> value.
func flat(r Recipe) map[string]string {
	b, _ := json.Marshal(r)
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // seeds need all of their 64 bits
	var v any
	dec.Decode(&v)
	m := map[string]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				walk(strings.TrimPrefix(path+"."+k, "."), x)
			}
		case []any:
			for i, x := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), x)
			}
		default:
			m[path] = fmt.Sprint(v)
		}
	}
	walk("", v)
	return m
}

// Specs lists every tensor of a stage on its device.
func (r Recipe) Specs(l model.Layout) []gpu.Spec {
	list := append(l.Specs(), r.Optimizer.Specs(l)...)
	return append(list, model.ActivationSpecs(l, r.Batch)...)
}
