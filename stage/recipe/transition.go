package recipe

import (
	"fmt"
	"slices"

	"steplm/model"
	"steplm/stage/recipe/growth"
)

// Layouts is what the model consists of in every stage.
func (r Recipe) Layouts() ([]model.Layout, error) {
	begins, err := r.Begin()
	if err != nil {
		return nil, fmt.Errorf("stage 1: %w", err)
	}
	if n, want := len(begins.After.Blocks), r.Stages[0].Layers; n != want {
		return nil, fmt.Errorf("stage 1: it begins with %d layers, it should have %d", n, want)
	}
	list := []model.Layout{begins.After}
	for i, s := range r.Stages[1:] {
		t, err := r.Effect(list[i], s.Entry.Verbs)
		if err != nil {
			return nil, fmt.Errorf("stage %d: %w", i+2, err)
		}
		if n := len(t.After.Blocks); n != s.Layers {
			return nil, fmt.Errorf("stage %d: its transition leaves %d layers, it should have %d", i+2, n, s.Layers)
		}
		list = append(list, t.After)
	}
	return list, nil
}

// Effect is what a list of verbs means for a layout, with no device.
type Effect struct {
	Growth        growth.Growth // Origins by position after growing; none without grow
	Grown         model.Layout  // right after growing: what will train has no gradient yet
	Merge         bool
	Stochastic    bool         // so the merge rounds
	Fresh         map[int]bool // IDs of blocks whose LoRA starts anew
	Resets        []Verb
	Before, After model.Layout
}

// Effect works out what verbs do to a layout.
func (r Recipe) Effect(before model.Layout, verbs []Verb) (Effect, error) {
	t := Effect{Grown: before, Before: before, After: before, Fresh: map[int]bool{}}
	l := &t.After
	l.Blocks, t.Grown.Blocks = slices.Clone(before.Blocks), slices.Clone(before.Blocks)
	old := map[int]model.BlockLayout{}
	for _, b := range before.Blocks {
		old[b.ID] = b
	}
	for _, v := range verbs {
		switch v.Do {
		case Grow:
			g, err := growth.PlanGrowth(len(l.Blocks), v.Layers, v.Position, v.Operator, v.Seed)
			if err != nil {
				return t, err
			}
			t.Growth = g
			l.Blocks = insert(l.Blocks, g.Origins)
			t.Grown = *l
			t.Grown.Blocks = slices.Clone(l.Blocks)
		case Merge:
			t.Merge, t.Stochastic = true, v.Round == Stochastic
			for i := range l.Blocks {
				l.Blocks[i].Wrapped = false
			}
		case Freeze:
			for i, b := range l.Blocks {
				if _, ok := old[b.ID]; ok {
					l.Blocks[i].Frozen, l.Blocks[i].Int8 = true, r.Storage.Frozen == model.Int8
				}
			}
			l.TrainEmbedding, l.TrainHead, l.TrainNorms = r.TrainEmbedding, r.TrainHead, r.TrainNorms
		case Wrap:
			for i, b := range l.Blocks {
				if b.Frozen && !b.Wrapped {
					l.Blocks[i].Wrapped = true
					t.Fresh[b.ID] = true
				}
			}
		case Reset:
			t.Resets = append(t.Resets, v)
		case Rewarm: // is the schedule's, see Recipe.Schedule
		default:
			return t, fmt.Errorf("unknown verb %q", v.Do)
		}
	}
	// Growth reads working weights: what completes those that freeze to their
	// masters goes before anything comes.
	t.Grown.Paused = true
	t.Grown.TrainEmbedding, t.Grown.TrainHead, t.Grown.TrainNorms = l.TrainEmbedding, l.TrainHead, l.TrainNorms
	for i, b := range l.Blocks {
		was := old[b.ID] // a new block is plain
		t.Grown.Blocks[i] = model.BlockLayout{ID: b.ID, Frozen: b.Frozen, Wrapped: was.Wrapped, Int8: was.Int8,
			NoRope: b.NoRope}
	}
	return t, nil
}

// Stripped is the layout of the old blocks alone, before anything comes: what freezes has nothing to train with.
func (t Effect) Stripped() model.Layout { return t.Filling(-1) }

// Filling is a layout on the way from Stripped to Grown: that in which the new block at a place, of all that there will
// be, is filled; they come one after another. An old block becomes int8 as soon as no new one is left that reads it, so
// that a device never holds the whole model as wide as it trained. One with LoRA waits: what the LoRA adds is read and
// merged first. Before the first new block the place is below 0.
func (t Effect) Filling(at int) model.Layout {
	l, old, read := t.Grown, 0, map[int]bool{} // read are old blocks, by their place among the old
	for i, o := range t.Growth.Origins {
		if o.New && i >= at && !o.Drawn {
			read[o.Below], read[o.Above] = true, true
		}
	}
	l.Blocks = nil
	for i, b := range t.Grown.Blocks {
		if t.Growth.Origins != nil && t.Growth.Origins[i].New {
			if i <= at {
				l.Blocks = append(l.Blocks, b)
			}
			continue
		}
		if at >= 0 && !read[old] && !b.Wrapped {
			b.Int8 = t.After.Blocks[i].Int8
		}
		l.Blocks = append(l.Blocks, b)
		old++
	}
	return l
}

// insert puts new blocks, with the next free IDs, where origins says.
func insert(blocks []model.BlockLayout, origins []growth.Origin) []model.BlockLayout {
	next := 0
	for _, b := range blocks {
		next = max(next, b.ID+1)
	}
	var list []model.BlockLayout
	for _, o := range origins {
		if o.New {
			list = append(list, model.BlockLayout{ID: next, NoRope: blocks[o.Below].NoRope})
			next++
		} else {
			list = append(list, blocks[o.Below])
		}
	}
	return list
}
