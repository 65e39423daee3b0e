package trainer

import (
	"context"

	"steplm/data"
	"steplm/model"
)

// prefetch gets the micro-batches of a step, and puts the first on the device, while the step
// before still runs there. To whoever asks where the data stand it has not done so: the
// cursor is that of the next batch that a step will take.
type prefetch struct {
	from Batches
	n    int // micro-batches of a step, of all processes
	// Of those that are dealt, this process takes every size-th from its rank on.
	rank, size int
	// What was fetched and not taken yet.
	dealt   int // of all processes
	batches []data.Batch
	err     error
	before  data.Cursor // the first one's
	// Where the first was loaded, and as which load there: whoever borrows the activations
	// loads another.
	on *model.Activations
	at int
}

// fetch gets what the next step lacks and loads the first batch. What goes wrong is told when
// they are asked for, by when the step that runs now is complete.
func (p *prefetch) fetch(ctx context.Context, a *model.Activations) {
	for ; p.dealt < p.n; p.dealt++ {
		if p.dealt == 0 {
			p.before = p.from.Cursor()
		}
		if p.dealt%max(1, p.size) != p.rank {
			if p.err = p.from.Skip(ctx); p.err != nil {
				return
			}
			continue
		}
		b, err := p.from.Next(ctx)
		if err != nil {
			p.err = err
			return
		}
		p.batches = append(p.batches, b)
	}
	p.err = p.load(a)
}

func (p *prefetch) load(a *model.Activations) error {
	if err := loadBatch(a, p.batches[0]); err != nil {
		return err
	}
	p.on, p.at = a, a.Loads()
	return nil
}

func loadBatch(a *model.Activations, b data.Batch) error {
	a, err := a.Windows(b.SeqLen)
	if err != nil {
		return err
	}
	return a.Load(b.Inputs, b.Targets, b.Begins, b.Tokens, b.Starts, b.Order)
}

// step hands out the micro-batches of the next step, with the first on the device. After an
// error it may be asked again.
func (p *prefetch) step(ctx context.Context, a *model.Activations) ([]data.Batch, error) {
	if err := p.err; err != nil {
		p.err = nil
		return nil, err
	}
	switch {
	case p.dealt < p.n:
		p.fetch(ctx, a)
	case p.on != a || p.at != a.Loads():
		p.err = p.load(a)
	}
	if err := p.err; err != nil {
		p.err = nil
		return nil, err
	}
	list := p.batches
	p.batches, p.dealt = nil, 0
	return list, nil
}

// Cursor is that of the first batch that step would hand out.
func (p *prefetch) Cursor() data.Cursor {
	if p.dealt > 0 {
		return p.before
	}
	return p.from.Cursor()
}

// Seek goes to a cursor and forgets what was fetched.
func (p *prefetch) Seek(c data.Cursor) error {
	p.batches, p.dealt, p.err = nil, 0, nil
	return p.from.Seek(c)
}
