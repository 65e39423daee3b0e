package judge

import (
	"context"
	"sync"
	"time"

	"steplm/internal/retry"
)

// gate is where every try waits for its turn: when a server says that it is too much for one, it is for all.
type gate struct {
	perMinute int
	mu        sync.Mutex
	next      time.Time // nobody goes before
	last      time.Time // a reply came
}

// wait waits for a turn.
func (g *gate) wait(ctx context.Context) error {
	for {
		g.mu.Lock()
		now := time.Now()
		left := g.next.Sub(now)
		if left <= 0 {
			if g.perMinute > 0 {
				g.next = now.Add(time.Minute / time.Duration(g.perMinute))
			}
			g.mu.Unlock()
			return ctx.Err()
		}
		g.mu.Unlock()
		if err := sleep(ctx, left); err != nil {
			return err
		}
	}
}

// close has everybody wait until then, at least.
func (g *gate) close(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if until.After(g.next) {
		g.next = until
	}
}

func (g *gate) replied() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = time.Now()
}

func (g *gate) repliedSince(then time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.last.IsZero() && g.last.After(then)
}

// pause waits before another try: as long as the server says, which holds for everybody, or else longer each time.
func (c *Client) pause(ctx context.Context, failed *Error, failures int) error {
	wait := failed.after
	if !failed.said {
		wait = retry.Jitter(retry.Backoff(c.Backoff, mostBackoff, failures-1))
	}
	if c.Waiting != nil {
		c.Waiting(wait, failed)
	}
	if failed.Status == 429 || failed.said {
		c.gate.close(time.Now().Add(wait))
		return nil // and waits there
	}
	return sleep(ctx, wait)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
