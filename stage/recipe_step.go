package stage

// step is STEP (Yano, Ito, Suzuki; NAACL 2025): train a small model, grow it by
// inserting layers between the old ones at 75 % of the stage's schedule, freeze
// the old layers and wrap them in LoRA, train the new layers and the adapters;
// repeat. The layers per stage minimise the largest stage's bytes, see
// Options.SplitBy.
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
			verbs := []Verb{{Do: Grow, Layers: depth, Operator: o.Operator, Position: o.Position, Seed: o.Seed}}
			if !o.KeepAdapters {
				verbs = append(verbs, Verb{Do: Merge})
			}
			verbs = append(verbs, Verb{Do: Freeze}, Verb{Do: Wrap}, Verb{Do: Reset, Params: AllParams})
			s.Entry = Transition{Verbs: append(verbs, s.Entry.Verbs...), Save: true, Evaluate: true}
		}
		r.Stages = append(r.Stages, s)
	}
	return r, nil
}
