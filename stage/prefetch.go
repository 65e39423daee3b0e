package stage

import (
	"context"

	"steplm/data"
	"steplm/model"
)

// prefetch gets the first batch of a step, and puts it on the device, while the step
// before still runs there. To whoever asks where the data stand it has not done so:
// the cursor is that of the next batch that a step will take.
type prefetch struct {
	from Batches
	// What was fetched and not taken yet.
	held   bool
	batch  data.Batch
	err    error
	before data.Cursor
	// Where the batch was loaded, and as which load there: whoever borrows the
	// activations loads another.
	on *model.Activations
	at int
}

// fetch gets the next batch and loads it. What goes wrong is told when the batch is
// asked for, by when the step that runs now is complete.
func (p *prefetch) fetch(ctx context.Context, a *model.Activations) {
	p.before, p.held = p.from.Cursor(), true
	if p.batch, p.err = p.from.Next(ctx); p.err == nil {
		p.err = p.load(a)
	}
}

func (p *prefetch) load(a *model.Activations) error {
	if err := a.Load(model.Batch(p.batch)); err != nil {
		return err
	}
	p.on, p.at = a, a.Loads()
	return nil
}

// next leaves the next batch on the device.
func (p *prefetch) next(ctx context.Context, a *model.Activations) error {
	if !p.held {
		p.fetch(ctx, a)
	}
	p.held = false
	if p.err == nil && (p.on != a || p.at != a.Loads()) {
		p.err = p.load(a)
	}
	p.batch = data.Batch{}
	return p.err
}

// Cursor is that of the batch that next would load.
func (p *prefetch) Cursor() data.Cursor {
	if p.held {
		return p.before
	}
	return p.from.Cursor()
}

// Seek goes to a cursor and forgets what was fetched.
func (p *prefetch) Seek(c data.Cursor) error {
	p.held = false
	return p.from.Seek(c)
}
