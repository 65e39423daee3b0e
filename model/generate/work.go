package generate

import (
	"steplm/gpu"
	"steplm/model"
)

// Classes lists the classes of kernels for which a device with such limits has a choice where a Generator reads so
// many tokens of prompts and adds so many, of all its slots at once, and the operations spent in each.
func Classes(l model.Layout, c Config, limits gpu.Limits, prompts, added int) (map[string]float64, error) {
	total := map[string]float64{}
	for _, way := range []struct {
		decode     bool
		rows, runs int
	}{{false, min(c.Chunk, max(prompts, 1)), prompts}, {true, c.Slots, added}} {
		dry := gpu.NewDry(limits)
		m, err := model.New(dry, l.ForInference())
		if err != nil {
			return nil, err
		}
		cache, err := model.NewCache(dry, m.Layout, max(c.Positions, way.rows))
		if err != nil {
			return nil, err
		}
		rows, err := model.NewRows(dry, m.Layout, cache, c.size(l))
		if err != nil {
			return nil, err
		}
		list := make([]model.Row, way.rows)
		for i := range list {
			list[i].First = i
		}
		if _, err := m.Run(rows, list, way.decode, []int{0}); err != nil {
			return nil, err
		}
		for class, use := range dry.Choices().Used() {
			total[class] += use.Work * float64(way.runs) / float64(way.rows)
		}
	}
	return total, nil
}
