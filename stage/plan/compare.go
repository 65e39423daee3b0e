package plan

import (
	"slices"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/advice"
	"steplm/model/optim"
	"steplm/stage/recipe"
)

// Within is what a method with an optimizer has room for in a limit.
type Within struct {
	Method    string `json:"method"`
	Optimizer string `json:"optimizer"`
	Refused   string `json:"refused,omitempty"` // why the two do not go together; then the rest is empty
	// Of the model that was asked for: the layers of each stage, what one window takes, and the most windows of a
	// micro-batch; 0: not one fits.
	Split     []int `json:"split,omitempty"`
	OneBytes  int64 `json:"one_window_bytes"`
	Batch     int   `json:"batch"`
	PeakBytes int64 `json:"peak_bytes"` // with that batch
	// The largest preset of which one window fits; "": none.
	Model string `json:"model,omitempty"`
}

// Comparison is every method that trains with every optimizer under one limit.
type Comparison struct {
	Limit int64 `json:"limit_bytes"`
	// Overhead is what the process takes of the limit besides, on a device that computes in its memory.
	Overhead int64        `json:"overhead_bytes,omitempty"`
	Model    model.Config `json:"model"`
	SeqLen   int          `json:"seq_len"`
	Rows     []Within     `json:"rows"`
}

// Compare finds for each method and each optimizer, as it was published, the largest micro-batch of the model and the
// largest preset that fit into limit bytes beside overhead, as in FitPlan. Partitions are solved anew for each, by all
// that is allocated: what a trained and a frozen weight take differs, and so does the best one. Blocks are recomputed
// unless the options say that nothing is.
func Compare(o recipe.Options, limit, overhead int64) (Comparison, error) {
	o, err := anyTraining(o).Resolved()
	if err != nil {
		return Comparison{}, err
	}
	if err := validSize(o); err != nil {
		return Comparison{}, err
	}
	c := Comparison{Limit: limit, Overhead: overhead, Model: o.Model, SeqLen: o.Batch.SeqLen}
	for _, m := range recipe.Methods {
		for _, optimizer := range optim.Names() {
			if m.Optimizer != "" && m.Optimizer != optimizer {
				continue
			}
			w := Within{Method: m.Name, Optimizer: optimizer}
			if err := w.fit(o, limit, overhead); err != nil {
				w = Within{Method: m.Name, Optimizer: optimizer, Refused: err.Error()}
			}
			c.Rows = append(c.Rows, w)
		}
	}
	return c, nil
}

func (w *Within) fit(o recipe.Options, limit, overhead int64) error {
	split, one, err := w.peak(o, 1)
	if err != nil {
		return err
	}
	w.Split, w.OneBytes = split, one.peak
	if one.with(overhead) <= limit {
		low, high := 1, 2 // low fits, high does not
		most := recipe.MaxRows / o.Batch.SeqLen
		fits := func(batch int) bool {
			_, all, err := w.peak(o, batch)
			return err == nil && all.with(overhead) <= limit
		}
		for high <= most && fits(high) {
			low, high = high, 2*high
		}
		for high = min(high, most+1); high-low > 1; {
			if middle := (low + high) / 2; fits(middle) {
				low = middle
			} else {
				high = middle
			}
		}
		_, all, err := w.peak(o, low)
		if err != nil {
			return err
		}
		w.Batch, w.PeakBytes = low, all.peak
	}
	for _, name := range slices.Backward(model.Presets()) {
		c := o
		if c.Model, err = model.Preset(name); err != nil {
			return err
		}
		c.Split, c.LoRA.Rank = nil, recipe.DefaultRank(c.Model)
		c.LoRA.Alpha, c.Batch.SeqLen = float64(c.LoRA.Rank), min(c.Batch.SeqLen, c.Model.MaxSeqLen)
		if _, all, err := w.peak(c, 1); err == nil && all.with(overhead) <= limit {
			w.Model = name
			break
		}
	}
	return nil
}

// peak is the split and the bytes of a run with so many windows in a micro-batch.
func (w *Within) peak(o recipe.Options, batch int) (split []int, all arrangement, err error) {
	settings, _, err := optim.Choose(w.Optimizer, o.Model, nil, 0)
	if err != nil {
		return nil, all, err
	}
	o.Optimizer.Settings, o.Batch.Batch, o.GradAccum = settings, batch, 1
	if o.Split == nil {
		o.SplitBy = recipe.SplitReal
	}
	m, err := recipe.FindMethod(w.Method)
	if err != nil {
		return nil, all, err
	}
	if !m.Heeds(advice.Stages) { // A split, and frozen weights of another type, are of STEP alone.
		o.Split, o.SplitBy, o.Storage.Frozen = nil, "", o.Storage.Precision
	}
	if o.Recompute != recipe.RecomputeNone {
		o.Recompute = recipe.RecomputeBlock
	}
	r, err := recipe.NewRecipe(w.Method, o)
	if err != nil {
		return nil, all, err
	}
	layouts, err := r.Layouts()
	if err != nil {
		return nil, all, err
	}
	for _, l := range layouts {
		all.peak = max(all.peak, gpu.Plan(gpu.OwnSpecs(), r.Specs(l)).Total())
		all.outer = max(all.outer, gpu.Plan(r.OuterSpecs(l)).Total())
	}
	if m.Heeds(advice.Split) {
		split = r.LayersAdded()
	}
	return split, all, nil
}
