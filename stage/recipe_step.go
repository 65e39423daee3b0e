package stage

import "fmt"

// step is STEP (Yano, Ito, Suzuki; NAACL 2025): train a small model, grow it by
// inserting layers between the old ones at 75 % of the stage's schedule, freeze
// the old layers and wrap them in LoRA, train the new layers and the adapters;
// repeat. The layers per stage minimise the largest stage's model states by the
// paper's formula: 16 n P + 2 N P + 16 N E bytes for n new and N old layers of P
// parameters and E adapter parameters.
func step(o Options) (Recipe, error) {
	r := o.base("step")
	r.Adapter = o.Adapter
	r.TrainEmbedding, r.TrainHead, r.TrainNorms = o.TrainEmbedding, o.TrainHead, o.TrainNorms
	if o.Stages > 1 {
		if err := o.Adapter.Validate(o.Model); err != nil {
			return r, err
		}
	}
	split, err := o.split()
	if err != nil {
		return r, err
	}
	run, schedule, err := StageSteps(o.Steps, o.Stages, o.GrowAt)
	if err != nil {
		return r, err
	}
	depth := 0
	for i, n := range split {
		depth += n
		s, err := o.stage(i, depth, run[i], schedule[i])
		if err != nil {
			return r, err
		}
		if i > 0 {
			s.Entry = []Verb{{Do: Grow, Layers: depth, Operator: o.Operator, Position: o.Position, Seed: o.Seed}}
			if !o.KeepAdapters {
				s.Entry = append(s.Entry, Verb{Do: Merge})
			}
			s.Entry = append(s.Entry, Verb{Do: Freeze}, Verb{Do: Wrap}, Verb{Do: ResetState}, Verb{Do: Rewarm})
		}
		r.Stages = append(r.Stages, s)
	}
	return r, nil
}

// split is the user's or the paper's optimum.
func (o Options) split() ([]int, error) {
	if o.Split == nil {
		e, err := o.Model.AdapterParams(o.Adapter.Rank, o.Adapter.Targets)
		if err != nil {
			return nil, err
		}
		return Split(o.Model.Layers, o.Stages, PaperStageBytes(o.Model.LayerParams()+o.Model.NormParams(), e))
	}
	sum := 0
	for _, n := range o.Split {
		if n < 1 {
			return nil, fmt.Errorf("split %v: every stage must add at least one layer", o.Split)
		}
		sum += n
	}
	if sum != o.Model.Layers || len(o.Split) != o.Stages {
		return nil, fmt.Errorf("split %v adds %d layers in %d stages; the model has %d layers and the run %d stages", o.Split, sum, len(o.Split), o.Model.Layers, o.Stages)
	}
	return o.Split, nil
}
