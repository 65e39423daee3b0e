package trainer

import (
	"steplm/data"
	"steplm/gpu"
	"steplm/model"
	"steplm/stage/recipe"
)

// Classes lists the classes of kernels for which a device with such limits has a
// choice in the run, and the operations that all steps together spend in each.
func Classes(r recipe.Recipe, l gpu.Limits) (map[string]float64, error) {
	layouts, err := r.Layouts()
	if err != nil {
		return nil, err
	}
	total := map[string]float64{}
	for i, layout := range layouts {
		dry := gpu.NewDry(l)
		if err := recordMicroBatch(dry, layout, r.Batch); err != nil {
			return nil, err
		}
		for class, use := range dry.Choices().Used() {
			total[class] += use.Work * float64(r.Stages[i].Steps*r.GradAccum)
		}
	}
	return total, nil
}

// Calls lists the kernels of one micro-batch's forward and backward in a stage, counted
// from 0, as the device would run them now: with its limits and choices.
func Calls(d gpu.Device, r recipe.Recipe, stage int) ([]gpu.Call, error) {
	layouts, err := r.Layouts()
	if err != nil {
		return nil, err
	}
	dry := gpu.NewDry(d.Limits())
	dry.Choices().Take(d.Choices())
	err = recordMicroBatch(dry, layouts[stage], r.Batch)
	return dry.Calls(), err
}

// recordMicroBatch records forward and backward of one micro-batch on a device that
// computes nothing.
func recordMicroBatch(dry *gpu.Dry, l model.Layout, s model.Size) error {
	m, err := model.New(dry, l)
	if err != nil {
		return err
	}
	a, err := model.NewActivations(dry, l, s)
	if err != nil {
		return err
	}
	ids := make([]uint32, s.Rows())
	b := data.NewBatch(ids, ids)
	b.Begins = make([]uint32, len(ids)) // two documents in each window: what a mask then takes is recorded
	for i := range ids {
		if half := s.SeqLen / 2; i%s.SeqLen >= half {
			b.Begins[i] = uint32(half)
		}
	}
	if err := loadBatch(a, b); err != nil {
		return err
	}
	p := dry.Begin("micro-batch")
	m.Forward(p, a)
	m.Backward(p, a, model.Gradients{Scale: 1})
	return p.End()
}
