package trainer

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"steplm/data"
	"steplm/gpu"
	"steplm/internal/clock"
	"steplm/model"
	"steplm/model/advice"
	"steplm/model/optim"
	"steplm/stage/record"
	"steplm/stage/reduce"
	"steplm/wgsl"
)

// stepData is what one optimizer step takes: Backward, then Reduce, then Update.
type stepData struct {
	batches []data.Batch // of this process
	// Of all processes:
	targets int64             // that are scored; losses and gradients are divided by them
	rows    int64             // that are computed
	tokens  int64             // of them no padding
	pairs   int64             // of query and key in attention, of a head
	sums    *reduce.Gradients // over all processes; nil: there is one
	bad     *reduce.NotFinite // losses of processes before their sum; nil: none is
	rates   optim.RatesOf
}

// Step runs one optimizer step: GradAccum micro-batches, their sum over all processes, clip,
// update, and one small read-back.
func (t *Trainer) Step(ctx context.Context) (record.Metrics, error) {
	start := clock.Now()
	s, err := t.begin(ctx)
	if err != nil {
		return record.Metrics{}, err
	}
	if err := t.backward(&s); err != nil {
		return record.Metrics{}, err
	}
	if err := t.reduce(&s); err != nil {
		return record.Metrics{}, err
	}
	if err := t.update(s); err != nil {
		return record.Metrics{}, err
	}
	if t.step+1 < t.Recipe.Steps() {
		t.batches.fetch(ctx, t.acts) // while the device works
	}
	loss, norm, err := t.result(s)
	if err != nil {
		return record.Metrics{}, err
	}
	rate := t.Recipe.Stages[t.stage].LR * t.schedule.At(t.step)
	t.step++
	whole := t.Recipe.TokensPerStep()
	t.padding += whole - s.tokens
	seconds := clock.Since(start).Seconds()
	all, counted := t.flops(s)
	return record.Metrics{
		Step: t.step, Stage: t.stage + 1, Loss: loss, LR: rate, GradNorm: norm, Tokens: int64(t.step)*whole - t.padding,
		TokensPerSecond: float64(s.tokens) / seconds, FLOPsPerSecond: all / seconds, FLOPs: counted,
		Bytes: t.dev.Ledger().ByClass(), OuterBytes: t.outerBytes(), Peaks: t.At().Peaks,
	}, nil
}

// flops is the operations of a step: all, without the optimizer's, and those that count in a budget, see
// recipe.Recipe.FLOPs, where they are another number in each step, else 0.
func (t *Trainer) flops(s stepData) (all, counted float64) {
	r := t.Recipe
	batches := float64(s.rows) / float64(r.Batch.Rows())
	f := t.layout().FLOPsOf(r.Batch, float64(s.pairs)/batches)
	if r.Batch.Mask == model.MaskDocuments || s.rows != r.TokensPerStep() {
		counted = batches*(f.Total()-f.Recomputation) + r.Optimizer.FLOPs(t.layout())
	}
	return batches * f.Total(), counted
}

// begin takes the step's micro-batches, the first of which it leaves on the device, and counts
// what is scored in all of them together.
func (t *Trainer) begin(ctx context.Context) (s stepData, err error) {
	if stage, _ := t.Recipe.StageOf(t.step); stage != t.stage {
		return s, fmt.Errorf("step %d belongs to stage %d, the model is in stage %d", t.step+1, stage+1, t.stage+1)
	}
	if t.reducer.Size() > 1 && t.Recipe.Storage.Release {
		return s, advice.With(
			fmt.Errorf("gradient release updates a parameter before the other processes' gradients are there"),
			advice.Way{{How: advice.LeaveOut, Option: advice.Release}})
	}
	if t.Wait(); t.outer != nil && t.step >= t.Recipe.Outer.Start {
		if err := t.outer.Anchor(); err != nil {
			return s, fmt.Errorf("step %d: %w", t.step+1, err)
		}
	}
	if s.batches, err = t.batches.step(ctx, t.acts); err != nil {
		return s, err
	}
	counts := []int64{0, 0, 0, 0}
	for _, b := range s.batches {
		size := t.Recipe.Batch
		size.SeqLen = cmp.Or(b.SeqLen, size.SeqLen)
		for i, n := range []int64{int64(b.Scored()), int64(size.Rows()), int64(b.Used()),
			t.Recipe.Model.Pairs(size, b.Begins)} {
			counts[i] += n
		}
	}
	if err := t.reducer.Sum(counts); err != nil {
		return s, fmt.Errorf("step %d: %w", t.step+1, err)
	}
	s.targets, s.rows, s.tokens, s.pairs = counts[0], counts[1], counts[2], counts[3]
	s.rates, s.sums = t.ratesOf(), t.reducer.Gradients(t.dev)
	if s.targets == 0 {
		return s, fmt.Errorf("step %d: none of its %d targets is scored: there is nothing to learn from them", t.step+1,
			s.tokens)
	}
	return s, nil
}

// ratesOf are the rates of the next step, by parameter.
func (t *Trainer) ratesOf() optim.RatesOf {
	s, rate := t.Recipe.Stages[t.stage], t.schedule.At(t.step)
	return func(q *model.Param) optim.Rates {
		r := optim.Rates{LR: s.LR * rate, Decay: s.Decay}
		if q.Role == model.RoleEmbedding || q.Role == model.RoleHead {
			r.LR = cmp.Or(s.EmbeddingLR, s.LR) * rate
		}
		if q.Role.LoRA() {
			r = optim.Rates{LR: s.LoRALR * rate, Decay: s.LoRADecay}
		}
		if !q.Role.Decays() {
			r.Decay = 0
		}
		return r
	}
}

// backward leaves the gradients of the mean loss, and the sum of the losses in the stats, as far
// as this process's micro-batches go. Under release it updates too.
func (t *Trainer) backward(s *stepData) error {
	g := model.Gradients{Scale: float32(1 / float64(s.targets))}
	if t.Recipe.Storage.Release {
		g.Complete = t.opt.Release(t.acts.Stats, s.rates)
	}
	for i, b := range s.batches {
		if i > 0 {
			if err := loadBatch(t.acts, b); err != nil {
				return err
			}
		}
		g.Accumulate = i > 0
		if s.sums != nil && i == len(s.batches)-1 {
			g.Complete = func(p *gpu.Pass, q *model.Param) { s.sums.Complete(p, q.Grad) }
		}
		a, err := t.acts.Windows(b.SeqLen)
		if err != nil {
			return err
		}
		p := t.dev.Begin("train")
		t.Model.Forward(p, a)
		t.Model.Backward(p, a, g)
		if err := p.End(); err != nil {
			return err
		}
	}
	return nil
}

// reduce sums gradients and losses over all processes.
func (t *Trainer) reduce(s *stepData) error {
	if s.sums == nil {
		return nil
	}
	err := s.sums.End()
	if err == nil {
		s.bad, err = t.reducer.Stats(t.dev, t.acts.Stats)
	}
	if err != nil {
		return fmt.Errorf("step %d: %w", t.step+1, err)
	}
	return nil
}

// update turns the gradients into updates.
func (t *Trainer) update(s stepData) error {
	p := t.dev.Begin("update")
	if t.Recipe.Storage.Release {
		t.opt.FinishRelease(p, t.acts.Stats)
	} else {
		t.opt.Step(p, t.acts.Stats, s.rates)
	}
	return p.End()
}

// result reads the mean loss and the gradients' norm. Where they are not finite, or the loss is
// exactly 0, the step was none.
func (t *Trainer) result(s stepData) (loss, norm float64, err error) {
	stats, err := gpu.ReadF32(t.dev, t.acts.Stats)
	if err != nil {
		return 0, 0, err
	}
	loss, norm = float64(stats[wgsl.StatLoss])/float64(s.targets), float64(stats[wgsl.StatNorm])
	if loss == 0 {
		return 0, 0, fmt.Errorf("step %d: the loss is exactly 0 over all %d targets, which no model reaches by "+
			"learning: ids that are not the vocabulary's, or a device that computes nothing; the last checkpoint is "+
			"whole: look at data and tokenizer, make token caches again, and test the device", t.step+1, s.targets)
	}
	if x := loss + norm; !math.IsNaN(x) && !math.IsInf(x, 0) {
		return loss, norm, nil
	}
	t.opt.Undo()
	updated := "nothing was updated"
	if t.Recipe.Storage.Release && !math.IsNaN(loss) && !math.IsInf(loss, 0) {
		updated = "what was updated before that is thrown away"
	}
	if s.bad != nil {
		updated = s.bad.Error() + "; " + updated
	}
	err = fmt.Errorf("step %d: the loss is %g, the gradient norm %g; %s, and the last checkpoint is whole: the "+
		"training has diverged, begin again", t.step+1, loss, norm, updated)
	return 0, 0, &Diverged{t.step + 1, loss, norm,
		advice.With(err, advice.Way{{How: advice.Lower, Option: advice.LR}})}
}

// Diverged is a step whose loss or gradient norm is no number.
type Diverged struct {
	Step       int // 1-based
	Loss, Norm float64
	error
}

// Unwrap is what would help.
func (d *Diverged) Unwrap() error { return d.error }

// Skip leaves out the batches of one step.
func (t *Trainer) Skip(ctx context.Context) error {
	_, err := t.batches.step(ctx, t.acts)
	return err
}

// outerBytes are those that the outer optimizer keeps in the process's memory.
func (t *Trainer) outerBytes() int64 {
	if t.outer == nil {
		return 0
	}
	return t.outer.Home().Ledger().Total()
}
