package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/advice"
	"steplm/stage/recipe"
)

// logitBytes are the sizes that Fit tries for the logits that exist at once. Less
// would save little, and bf16 gradients of the head are rounded once per chunk.
var logitBytes = []int64{16 << 20, 4 << 20}

// Fitted is what Fit chose, and why.
type Fitted struct {
	Batch     model.Size `json:"micro_batch"`
	GradAccum int        `json:"grad_accum"`
	Split     []int      `json:"split,omitempty"`
	PeakBytes int64      `json:"peak_bytes"`
	Limit     int64      `json:"limit_bytes"`
	Overhead  int64      `json:"process_bytes,omitempty"` // of PeakBytes, the process's own
	Fitting   int        `json:"fitting"`                 // arrangements within the limit
	Tried     int        `json:"tried"`
}

func (f Fitted) String() string {
	recompute := "nothing recomputed"
	if f.Batch.Recompute {
		recompute = "blocks recomputed in backward"
	}
	bytes, process := Units(f.Limit), ""
	if f.Overhead > 0 {
		process = fmt.Sprintf(" (%s of it for the process, whose memory is the device's)", bytes(f.Overhead))
	}
	return fmt.Sprintf(
		"micro-batch %d x %d, %d per step, %s, %d rows of logits at once: at most %s of %s%s; the cheapest of the %d "+
			"arrangements that fit, of %d",
		f.Batch.Batch, f.Batch.SeqLen, f.GradAccum, recompute, f.Batch.HeadRows, bytes(f.PeakBytes), bytes(f.Limit),
		process, f.Fitting, f.Tried)
}

// arrangement is one way to compute a step, with what its largest stage takes.
type arrangement struct {
	options recipe.Options
	recipe  recipe.Recipe
	peak    int64 // on the device
	outer   int64 // of an outer optimizer, in the process's memory
	cost    float64
}

// with is what it takes beside what the process takes itself, where that is the same memory; 0: it is not.
func (a arrangement) with(overhead int64) int64 {
	if overhead > 0 {
		overhead += a.outer
	}
	return a.peak + overhead
}

// Fit chooses micro-batch, recomputation and rows of logits so that no stage takes
// more than limit bytes, at the same global batch: the cheapest arrangement by an
// estimate of operations and of the bytes of weights moved. overhead is what the
// process takes besides, where that is the same memory. The error says by how
// much nothing fits, and what would.
func Fit(method string, o recipe.Options, limit, overhead int64) (recipe.Options, Fitted, error) {
	all, err := arrangements(method, o)
	if err != nil {
		return o, Fitted{}, err
	}
	var fit []arrangement
	for _, a := range all {
		if a.with(overhead) <= limit {
			fit = append(fit, a)
		}
	}
	if len(fit) == 0 {
		return o, Fitted{}, doesNotFit(method, o, smallest(all), limit, overhead)
	}
	best := slices.MinFunc(fit, func(a, b arrangement) int {
		return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(a.peak, b.peak))
	})
	m, err := recipe.FindMethod(method)
	if err != nil {
		return o, Fitted{}, err
	}
	f := Fitted{Batch: best.recipe.Batch, GradAccum: best.options.GradAccum, PeakBytes: best.with(overhead),
		Limit: limit, Overhead: best.with(overhead) - best.peak, Fitting: len(fit), Tried: len(all)}
	if m.Heeds(advice.Split) {
		f.Split = best.recipe.LayersAdded()
	}
	return best.options, f, nil
}

// arrangements tries every way to share the global batch among micro-batches.
func arrangements(method string, o recipe.Options) ([]arrangement, error) {
	if err := validSize(o); err != nil {
		return nil, err
	}
	var list []arrangement
	var first error
	whole := o.Batch.Batch * o.GradAccum
	for batch := min(whole, recipe.MaxRows/o.Batch.SeqLen); batch > 0; batch-- {
		accum := whole / batch
		if whole%batch != 0 || accum < o.Processes || o.Storage.Release && accum > 1 {
			continue
		}
		for _, recompute := range []bool{false, true} {
			if o.Recompute != recipe.RecomputeAuto && recompute != (o.Recompute == recipe.RecomputeBlock) {
				continue
			}
			for _, rows := range headRows(o, batch) {
				t := o
				t.GradAccum, t.Batch.Batch, t.Batch.HeadRows = accum, batch, rows
				t.Recompute = recipe.RecomputeNone
				if recompute {
					t.Recompute = recipe.RecomputeBlock
				}
				a, err := arrange(method, t)
				if err != nil {
					if first == nil {
						first = err
					}
					continue
				}
				list = append(list, a)
			}
		}
	}
	if len(list) == 0 {
		return nil, cmp.Or(first, advice.With(
			fmt.Errorf("gradient release takes a step's %d windows of %d tokens at once, at most %d tokens are allowed",
				whole, o.Batch.SeqLen, recipe.MaxRows),
			advice.Way{{How: advice.Lower, Option: advice.BatchSize}},
			advice.Way{{How: advice.Lower, Option: advice.GradAccum}},
			advice.Way{{How: advice.LeaveOut, Option: advice.Release}}))
	}
	return list, nil
}

// validSize refuses a batch that cannot be shared among micro-batches.
func validSize(o recipe.Options) error {
	r := recipe.Recipe{Model: o.Model, Batch: o.Batch, GradAccum: o.GradAccum}
	r.Batch.Batch = 1 // what is too large for one micro-batch may be for several
	if err := r.ValidSize(); err != nil {
		return err
	}
	if b := o.Batch.Batch; b < 1 || b > maxGlobalBatch/o.GradAccum {
		return fmt.Errorf("%d micro-batches of %d windows: together they must be 1 to %d", o.GradAccum, b,
			maxGlobalBatch)
	}
	return nil
}

// maxGlobalBatch is the most windows of one step.
const maxGlobalBatch = 1 << 30

func headRows(o recipe.Options, batch int) []int {
	size := o.Batch
	size.Batch = batch
	if o.Batch.HeadRows > 0 {
		return []int{min(o.Batch.HeadRows, size.Rows())}
	}
	var list []int
	for _, bytes := range logitBytes {
		if n := model.HeadRowsOf(o.Model, size, bytes); !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	return list
}

func arrange(method string, o recipe.Options) (arrangement, error) {
	r, err := recipe.NewRecipe(method, o)
	if err != nil {
		return arrangement{}, err
	}
	layouts, err := r.Layouts()
	if err != nil {
		return arrangement{}, err
	}
	a := arrangement{options: o, recipe: r}
	for i, l := range layouts {
		a.peak = max(a.peak, gpu.Plan(gpu.OwnSpecs(), r.Specs(l)).Total())
		a.outer = max(a.outer, gpu.Plan(r.OuterSpecs(l)).Total())
		// Every micro-batch reads the weights in forward and in backward; every chunk of
		// the head reads it twice and its gradient once. A byte counts as 4 operations.
		trains, frozen := l.Count()
		passes := 2 * float64(trains+frozen)
		if r.Batch.Recompute {
			passes += float64(trains + frozen)
		}
		chunks := float64(gpu.Groups(r.Batch.Rows(), r.Batch.HeadRows))
		passes += 3 * chunks * float64(l.EmbeddingParams())
		a.cost += float64(r.Stages[i].Steps) * float64(r.GradAccum) * (l.FLOPs(r.Batch).Total() + 8*passes)
	}
	return a, nil
}

func smallest(list []arrangement) arrangement {
	return slices.MinFunc(list, func(a, b arrangement) int { return cmp.Compare(a.peak, b.peak) })
}

// Unfit is a run that does not fit into a limit, by how much, and which single change would help.
type Unfit struct {
	Limit, Need int64 // bytes
	Batch       model.Size
	Recompute   string
	Changes     []Fitting // each alone, of those that help
	// Together are several that fit at once, or, above the limit, all that would help; none where one alone fits.
	Together Fitting
}

// Fitting is a change and what the run takes with it.
type Fitting struct {
	advice.Way
	Bytes int64
}

func (u *Unfit) Error() string {
	bytes := Units(u.Limit)
	return fmt.Sprintf(
		"the run does not fit into %s: its smallest arrangement (micro-batch %d x %d, recomputation %s, "+
			"%d rows of logits) takes %s in the largest stage, %s more", bytes(u.Limit),
		u.Batch.Batch, u.Batch.SeqLen, u.Recompute, u.Batch.HeadRows, bytes(u.Need), bytes(u.Need-u.Limit))
}

func doesNotFit(method string, o recipe.Options, least arrangement, limit, overhead int64) error {
	b, recompute := least.options.Batch, least.options.Recompute
	u := &Unfit{Limit: limit, Need: least.with(overhead), Batch: b, Recompute: recompute}
	for _, c := range changes(method, o) {
		all, err := arrangements(c.Method, c.Options)
		if err != nil {
			continue // It is not allowed with the rest.
		}
		if bytes := smallest(all).with(overhead); bytes < u.Need {
			u.Changes = append(u.Changes, Fitting{c.Way, bytes})
		}
	}
	if !slices.ContainsFunc(u.Changes, func(f Fitting) bool { return f.Bytes <= limit }) {
		u.Together = together(method, o, limit, overhead)
	}
	return u
}

// changes are those of every method's options, with the method's own.
func changes(method string, o recipe.Options) []recipe.Change {
	var list []recipe.Change
	add := func(option advice.Option, value string, edit func(*recipe.Options)) {
		list = append(list, o.Change(method, advice.Way{{How: advice.Use, Option: option, Value: value}}, edit))
	}
	for _, states := range model.SmallerStates(o.Storage.States) {
		add(advice.States, states, func(c *recipe.Options) { c.Storage.States = states })
	}
	if !o.Storage.Release {
		add(advice.Release, "", func(c *recipe.Options) { c.Storage.Release = true })
	}
	if o.Storage.Precision == model.BF16 && o.Storage.Gradients != model.BF16 {
		add(advice.Gradients, model.BF16, func(c *recipe.Options) { c.Storage.Gradients = model.BF16 })
	}
	if o.Recompute == recipe.RecomputeNone {
		add(advice.Recompute, recipe.RecomputeBlock, func(c *recipe.Options) { c.Recompute = recipe.RecomputeBlock })
	}
	if m, err := recipe.FindMethod(method); err == nil && m.Less != nil {
		list = append(list, m.Less(o)...)
	}
	if o.Batch.SeqLen > 1 {
		add(advice.SeqLen, strconv.Itoa(o.Batch.SeqLen/2), func(c *recipe.Options) { c.Batch.SeqLen /= 2 })
	}
	return list
}
