package stage

// vanilla trains all parameters of the whole model from the first step to the
// last.
func vanilla(o Options) (Recipe, error) {
	o.Stages = 1
	r := o.base("vanilla")
	s, err := o.stage(0, o.Model.Layers, o.Steps, o.Steps)
	r.Stages = []Stage{s}
	return r, err
}
