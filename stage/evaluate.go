package stage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"steplm/stage/eval"
	"steplm/stage/record"
	"steplm/stage/samples"
)

// evaluateModel is the evaluation that is due after a step.
func (r *Run) evaluateModel(ctx context.Context) error {
	r.done.evaluated = r.trainer.Done()
	return r.evaluate(ctx, "every")
}

// evaluate scores the first EvalTokens of every task, and whether the model is the best so far.
func (r *Run) evaluate(ctx context.Context, when string) error {
	if r.EvalTokens == 0 || !r.Reducer.Leads() {
		return nil
	}
	results, err := r.evaluateTasks(ctx, when, r.EvalTokens)
	if err == nil && r.Patience > 0 {
		r.best.Judge(r.trainer.Done(), results)
	}
	return err
}

// evaluateTasks scores the first so many tokens of every task in the trainer's own buffers.
func (r *Run) evaluateTasks(ctx context.Context, when string, tokens int64) (all []eval.Result, err error) {
	m, err := r.trainer.Scored()
	if err != nil {
		return nil, err
	}
	for _, task := range r.Tasks {
		res, err := r.evaluateTask(ctx, m, task, when, tokens)
		if err != nil {
			return nil, err
		}
		all = append(all, res)
	}
	if r.Samples.Evaluations {
		err = r.sample(ctx, when)
	}
	return all, err
}

// evaluateTask scores one, and writes down what came out.
func (r *Run) evaluateTask(ctx context.Context, m eval.Model, task eval.Task, when string, tokens int64) (eval.Result,
	error) {
	start := time.Now()
	o := eval.Options{MaxTokens: tokens}
	if r.Report.Evaluating != nil {
		o.Progress = func(n int64, share float64) { r.Report.Evaluating(task.Name(), n, o.Whole(n, share)) }
		r.Report.Evaluating(task.Name(), 0, 0)
	}
	res, err := task.Run(ctx, m, o)
	if err != nil {
		return res, fmt.Errorf("evaluate %s: %w", task.Name(), err)
	}
	plain, err := record.Plain(res)
	if err != nil {
		return res, fmt.Errorf("evaluate %s: %w", task.Name(), err)
	}
	return res, r.event(record.Evaluation{At: r.trainer.At(), When: when, Set: task.Name(), Result: plain,
		Seconds: time.Since(start).Seconds()})
}

// sampleModel draws the samples that are due after a step.
func (r *Run) sampleModel(ctx context.Context) error {
	r.done.sampled = r.trainer.Done()
	return r.sample(ctx, "")
}

// sample has the model continue its prompts, in the place of the activations. A model that cannot be heard, since its
// numbers are none, goes on training: the next step judges it.
func (r *Run) sample(ctx context.Context, when string) error {
	if !r.Reducer.Leads() {
		return nil
	}
	start := time.Now()
	if r.Report.Sampling != nil {
		r.Report.Sampling()
	}
	step := r.trainer.Done()
	list, err := r.trainer.Sample(ctx, r.Samples)
	var failed *samples.Failed
	if errors.As(err, &failed) {
		r.warn("there are no samples after step %d: %v", step, err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("samples after step %d: %w", step, err)
	}
	return r.event(record.Samples{At: r.trainer.At(), When: when, Samples: list, Seconds: time.Since(start).Seconds()})
}
