package stories

import (
	"context"
	"testing"

	"steplm/model"
	"steplm/stage"
	"steplm/stage/outer"
	"steplm/stage/record"
	"steplm/stage/rounds"
)

// A worker that is stopped before its first step has saved where it joined the run, or came back to it in another
// stage: the state that it was given is its own from then on.
func TestAWorkerSavesWhatItWasGiven(t *testing.T) {
	t.Run("joined", func(t *testing.T) {
		p := newParty(t, withRounds(t, outer.WireF32, model.FullStorage), 1)
		p.hostUntilLate("worker 1, ")
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		p.join(ctx, func(s *story) { s.Compiling = stop }, stage.ErrStopped)
		p.ended.Wait()
		savedAt(t, p.stories[1], "step-5")
	})
	t.Run("came back", func(t *testing.T) {
		p := newParty(t, withRounds(t, outer.WireF32, model.FullStorage), 1)
		way := newProxy(t, p.c.Addr().String())
		gone, further := make(chan struct{}), make(chan struct{})
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		p.joinAt(ctx, rounds.At(way.listener.Addr().String()), func(s *story) {
			back := false
			s.Compiling = func() {
				if back {
					stop()
				}
			}
			s.Hook = func(at string) {
				if at == "step 2" {
					way.lead("127.0.0.1:1") // where nobody listens
					way.cut()
					close(gone)
					<-further
					back = true
				}
			}
		}, stage.ErrStopped)
		p.host(func(s *story) {
			s.Hook = func(at string) {
				if at == "step 2" {
					<-gone
					p.noted("is gone")
				}
			}
			s.Event = func(e record.Event) {
				if r, ok := e.(record.Round); ok && r.Step == 5 {
					way.lead(p.c.Addr().String())
					close(further)
					p.noted("is back, and takes part again")
				}
			}
		})
		p.ended.Wait()
		savedAt(t, p.stories[0], "step-5")
	})
}

// savedAt checks which checkpoint is the last of a process.
func savedAt(t *testing.T, s story, want string) {
	t.Helper()
	if name, _, err := record.LastCheckpoint(s.Dir); err != nil || name != want {
		t.Errorf("the last checkpoint is %q, %v, want %s", name, err, want)
	}
}
