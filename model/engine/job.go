package engine

import (
	"context"
	"time"

	"steplm/model/generate"
)

// Job is a sequence that waits for its turn, runs, or has ended.
type Job struct {
	ctx     context.Context
	request generate.Request
	seq     *generate.Sequence // once it runs
	came    time.Time
	began   time.Time
	done    chan struct{}
	finish  generate.Finish
	err     error
}

// Done is closed when the job has ended.
func (j *Job) Done() <-chan struct{} { return j.done }

// Result is why the job ended, once Done is closed. An error is ErrWaited, ErrClosed, the context's cause, or the
// device's; its Finish is then Cancelled or Failed.
func (j *Job) Result() (generate.Finish, error) { return j.finish, j.err }

// Waited is how long the job waited for its turn, once Done is closed; of one that never had a turn, until it ended.
func (j *Job) Waited() time.Duration { return j.began.Sub(j.came) }

// end tells whoever waits for the job that it has ended.
func (j *Job) end(finish generate.Finish, err error) {
	if j.began.IsZero() {
		j.began = time.Now()
	}
	j.finish, j.err = finish, err
	j.request, j.seq = generate.Request{}, nil // A job may be kept longer than what it heard.
	close(j.done)
}
