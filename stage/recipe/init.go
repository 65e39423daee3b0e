package recipe

import (
	"fmt"
	"slices"

	"steplm/model"
	"steplm/model/advice"
)

// Init is a model that a run begins with, in place of random weights: of the run's shape, but for its depth and its
// vocabulary. The optimizer begins without state.
type Init struct {
	Weights string `json:"weights"` // hash of what they are
	Layers  int    `json:"layers"`
	// Vocab is its tokens. The run's model may have more: the rows of those are the mean of these, in the embedding
	// and in the head.
	Vocab      int    `json:"vocab"`
	RopeLayers string `json:"rope_layers,omitempty"` // as model.Config has them
}

// What becomes of the layers of Init in a run that grows.
const (
	InitTrain  = "train"  // they train first, as the first stage's
	InitFreeze = "freeze" // the run begins with growth, and they freeze as layers do at every growth
)

// begin is what the model consists of before the first stage's entry.
func (r Recipe) begin() model.Layout {
	c, layers := r.Model, r.Stages[0].Layers
	if r.Init != nil {
		c.RopeLayers, layers = r.Init.RopeLayers, r.Init.Layers
	}
	l := model.Plain(c, layers)
	l.Config, l.LoRA, l.Storage = r.Model, r.LoRA, r.Storage
	return l
}

// Begin is what the first stage's entry means.
func (r Recipe) Begin() (Effect, error) { return r.Effect(r.begin(), r.Stages[0].Entry.Verbs) }

// initFreezes reports whether the run begins with growth.
func (o Options) initFreezes() bool { return o.Init != nil && o.InitLayers == InitFreeze }

// validInit refuses what a method cannot make of the model that it begins with.
func (o Options) validInit(m Method) error {
	if o.Init == nil {
		if o.InitLayers != "" {
			return advice.With(fmt.Errorf("layers of a model that the run begins with (%s), where it begins with none",
				o.InitLayers), advice.Way{{How: advice.LeaveOut, Option: advice.InitLayers}})
		}
		return nil
	}
	if o.InitLayers != "" {
		err := oneOf("layers of the model that the run begins with", o.InitLayers, InitTrain, InitFreeze)
		if err != nil {
			return err
		}
	}
	has, wants := o.Init.Layers, o.Model.Layers
	grows := m.Heeds(advice.Split)
	toStep := advice.Way{{How: advice.Use, Option: advice.Method, Value: stepName}}
	switch {
	case wants < has:
		return fmt.Errorf("the model that the run begins with has %d layers, the run's %d: layers are not taken away",
			has, wants)
	case o.Model.Vocab < o.Init.Vocab:
		return fmt.Errorf("the model that the run begins with has %d tokens, the run's %d: tokens are not taken away",
			o.Init.Vocab, o.Model.Vocab)
	case wants > has && !grows:
		return advice.With(fmt.Errorf("the model that the run begins with has %d layers, the run's %d, and method %s "+
			"does not grow", has, wants, m.Name), toStep, advice.Way{{How: advice.Use, Option: advice.Layers,
			Value: fmt.Sprint(has)}})
	case wants == has && grows:
		return advice.With(fmt.Errorf("the model that the run begins with has %d layers, as many as the run's: method "+
			"%s would have nothing to grow", has, m.Name), advice.Way{{How: advice.Raise, Option: advice.Layers}},
			advice.Way{{How: advice.Use, Option: advice.Method, Value: VanillaName}})
	case o.InitLayers == InitFreeze && m.Name != stepName:
		return advice.With(fmt.Errorf("method %s freezes no layers of the model that the run begins with", m.Name),
			toStep, advice.Way{{How: advice.LeaveOut, Option: advice.InitLayers}})
	case o.InitLayers == InitFreeze && o.NoFreeze:
		return advice.With(fmt.Errorf("layers of the model that the run begins with that freeze, and growth that "+
			"freezes nothing"), advice.Way{{How: advice.LeaveOut, Option: advice.NoFreeze}},
			advice.Way{{How: advice.LeaveOut, Option: advice.InitLayers}})
	}
	return nil
}

// initSplit is the layers that each stage adds where the first layers are there: those of the first stage are they, and
// where they freeze at once new ones too.
func (o Options) initSplit(stageBytes func(added, before int) int64) ([]int, error) {
	there, stages := o.Init.Layers, o.Stages
	if !o.initFreezes() {
		stages--
	}
	if stages < 1 {
		return nil, advice.With(fmt.Errorf("%d stages: the model that the run begins with, of %d layers, trains in "+
			"one, and the run's has %d", o.Stages, there, o.Model.Layers),
			advice.Way{{How: advice.Raise, Option: advice.Stages}},
			advice.Way{{How: advice.Use, Option: advice.InitLayers, Value: InitFreeze}})
	}
	split, err := Split(o.Model.Layers-there, stages, func(added, before int) int64 {
		return stageBytes(added, before+there)
	})
	if err != nil {
		return nil, fmt.Errorf("layers beside the %d of the model that the run begins with: %w", there, err)
	}
	if o.initFreezes() {
		split[0] += there
		return split, nil
	}
	return slices.Insert(split, 0, there), nil
}

// fitsInit refuses a split of the user's that the layers that are there do not fit.
func (o Options) fitsInit() error {
	first, there := o.Split[0], 0
	if o.Init != nil {
		there = o.Init.Layers
	}
	switch {
	case o.Init == nil:
	case o.initFreezes() && first <= there:
		return fmt.Errorf("split %v: the first stage has the %d layers that freeze at once, and needs new ones besides",
			o.Split, there)
	case !o.initFreezes() && first != there:
		return fmt.Errorf("split %v: the first stage has the %d layers of the model that the run begins with", o.Split,
			there)
	}
	return nil
}

// validRope refuses growth after which other layers would have rotary positions than the model says: a block keeps
// what it has when growth moves it.
func (r Recipe) validRope(last model.Layout) error {
	if got := last.RopePattern(); got != r.Model.RopeLayers {
		return advice.With(fmt.Errorf("layers with rotary positions: the model says %q, after growth they would be %q",
			r.Model.RopeLayers, got), advice.Way{{How: advice.Use, Option: advice.Method, Value: VanillaName}})
	}
	return nil
}
