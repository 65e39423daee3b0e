package stories

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/stage/outer"
	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/rounds"
)

// party is several processes of one run, here in one, over loopback.
type party struct {
	t       *testing.T
	story   story
	key     rounds.Key
	quorum  float64
	rejoin  time.Duration // that a worker tries to come back; 0: as long as rounds has it
	c       *rounds.Coordinator
	mu      sync.Mutex
	notes   []string
	stories []story // of each process, the coordinator first
	ended   sync.WaitGroup
}

func newParty(t *testing.T, s story, quorum float64) *party {
	t.Helper()
	key, err := rounds.NewKey(strings.Repeat("0123456789abcdef", 4))
	if err != nil {
		t.Fatal(err)
	}
	p := &party{t: t, story: s, key: key}
	p.quorum = quorum
	p.listen("127.0.0.1:0")
	t.Cleanup(func() { p.c.Close("the test is over", false) })
	return p
}

// listen begins to coordinate at an address, and forgets what was told before.
func (p *party) listen(addr string) {
	p.t.Helper()
	r := p.story.Recipe
	layouts, err := r.Layouts()
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := json.Marshal(r)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.notes = nil
	p.mu.Unlock()
	p.c, err = rounds.Listen(addr, p.key, rounds.Run{
		Name: "party", Hash: r.Hash(), Outer: *r.Outer, Layouts: layouts, Quorum: p.quorum,
		Welcome: rounds.Welcome{Recipe: text, Spec: json.RawMessage("{}")}, Log: p.log,
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *party) log(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// noted waits until the coordinator has told of something.
func (p *party) noted(text string) {
	p.t.Helper()
	for begun := time.Now(); time.Since(begun) < time.Minute; time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		ok := slices.ContainsFunc(p.notes, func(n string) bool { return strings.Contains(n, text) })
		p.mu.Unlock()
		if ok {
			return
		}
	}
	p.t.Fatalf("the coordinator did not tell of %q, but: %q", text, p.notes)
}

// join begins a worker, which edit may change. What it ends in must be want.
func (p *party) join(ctx context.Context, edit func(*story), want error) *rounds.Worker {
	p.t.Helper()
	return p.joinAt(ctx, rounds.At(p.c.Addr().String()), edit, want)
}

// joinAt is join at another address than the coordinator's own.
func (p *party) joinAt(ctx context.Context, at rounds.Address, edit func(*story), want error) *rounds.Worker {
	p.t.Helper()
	w, err := rounds.Dial(ctx, at, p.key, "party", "a test")
	if err != nil {
		p.t.Fatal(err)
	}
	layouts, err := p.story.Recipe.Layouts()
	if err != nil {
		p.t.Fatal(err)
	}
	var r recipe.Recipe
	if err := json.Unmarshal(w.Welcome.Recipe, &r); err != nil || r.Hash() != p.story.Recipe.Hash() {
		p.t.Fatalf("the recipe that came is another: %v", err)
	}
	if p.rejoin > 0 {
		w.RejoinFor(p.rejoin)
	}
	w.Ready(r.Hash(), *r.Outer, layouts)
	p.noted(fmt.Sprintf("worker %d, ", w.Welcome.Process))
	s := p.story.in(filepath.Join(p.t.TempDir(), "worker"))
	s.Peers, s.Seed = w, uint64(w.Welcome.Process)
	if edit != nil {
		edit(&s)
	}
	p.begin(ctx, s, want, func(err error) { w.Close(fmt.Sprint(err)) })
	return w
}

// begin runs a process.
func (p *party) begin(ctx context.Context, s story, want error, after func(error)) {
	p.stories = append(p.stories, s)
	p.ended.Add(1)
	go func() {
		defer p.ended.Done()
		err := s.run(ctx, gpu.NewHost())
		if !errors.Is(err, want) {
			p.t.Errorf("process %d ended with %v, want %v", s.Seed, err, want)
		}
		after(err)
	}()
}

// hosting is the coordinator's own training, which has yet to begin.
func (p *party) hosting() story {
	s := p.story.in(filepath.Join(p.t.TempDir(), "coordinator"))
	s.Peers = p.c
	return s
}

// host begins the coordinator's own training.
func (p *party) host(edit func(*story)) {
	s := p.hosting()
	if edit != nil {
		edit(&s)
	}
	p.begin(context.Background(), s, nil, func(error) { p.c.Close("the run is over", false) })
}

// hostUntilLate hosts a run, which after its round that ends with step 5 waits until a worker that comes late is noted,
// and returns there.
func (p *party) hostUntilLate(worker string) {
	late := make(chan struct{})
	p.host(func(s *story) {
		s.Event = func(e record.Event) {
			if r, ok := e.(record.Round); ok && r.Step == 5 {
				close(late)
				p.noted(worker) // it waits for the next round
			}
		}
	})
	<-late
}

// roundsOf are those that a process made.
func roundsOf(t *testing.T, s story) (list []record.Round) {
	t.Helper()
	for e, err := range record.Read(s.Dir) {
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := e.(record.Round); ok {
			list = append(list, r)
		}
	}
	return list
}

// finalWeights are those of a process's last checkpoint.
func finalWeights(t *testing.T, s story) map[string][]float32 {
	t.Helper()
	return weightsAfter(t, s, s.Recipe.Steps())
}

// weightsAfter are those of a process's checkpoint after a step.
func weightsAfter(t *testing.T, s story, step int) map[string][]float32 {
	t.Helper()
	m, err := model.Open(gpu.NewHost(), record.CheckpointAt(s.Dir, fmt.Sprintf("step-%d", step)))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]float32{}
	for _, p := range m.Params() {
		all[p.Name] = gputest.Read(t, m.Device(), p.Weight)
	}
	return all
}

func sameWeights(t *testing.T, a, b map[string][]float32) {
	t.Helper()
	if len(a) == 0 || !maps.EqualFunc(a, b, slices.Equal[[]float32]) {
		t.Error("two processes ended with other weights")
	}
}

// Two and three processes make a run's rounds, across a growth: all end with the same weights, bit for bit, a second
// time too where every one is waited for; a share of each is in every average; and what is sent is what is planned.
func TestProcessesMakeRounds(t *testing.T) {
	for workers, wire := range map[int]string{1: outer.WireF32, 2: outer.WireInt4} {
		t.Run(fmt.Sprint(1+workers), func(t *testing.T) {
			var before map[string][]float32
			for range 2 {
				p := newParty(t, withRounds(t, wire, model.FullStorage), 1)
				for range workers {
					p.join(context.Background(), nil, nil)
				}
				p.host(nil)
				p.ended.Wait()
				want := finalWeights(t, p.stories[workers])
				for _, s := range p.stories[:workers] {
					sameWeights(t, want, finalWeights(t, s))
				}
				if before != nil {
					sameWeights(t, before, want)
				}
				before = want
				made := roundsOf(t, p.stories[workers])
				if len(made) != 5 {
					t.Fatalf("%d rounds, want 5", len(made))
				}
				layouts, err := p.story.Recipe.Layouts()
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range made {
					if len(r.Shares) != 1+workers || len(r.Missing) != 0 {
						t.Errorf("the round that ends with step %d: %+v", r.Step, r)
					}
					planned := int64(workers) * p.story.Recipe.Outer.WireBytes(layouts[r.Stage-1])
					// Beside a change there are a few small messages of some 200 bytes each.
					if r.Received < planned || r.Received > planned+int64(workers)*2000 {
						t.Errorf("the round that ends with step %d received %d bytes, planned are %d", r.Step,
							r.Received, planned)
					}
				}
			}
		})
	}
}

// A worker that is killed is missed in the round that it had begun, which is told, and the others go on; one that joins
// late takes the state, hashes checked, and ends with the same weights.
func TestWorkersLeaveAndJoin(t *testing.T) {
	p := newParty(t, withRounds(t, outer.WireInt8, model.FullStorage), 1)
	leaving, cancel := context.WithCancel(context.Background())
	defer cancel()
	p.join(context.Background(), nil, nil)
	var lost *rounds.Worker
	lost = p.join(leaving, func(s *story) {
		s.Hook = func(point string) {
			if point == "step 4" { // in the first round of stage 2
				lost.Kill()
			}
		}
	}, outer.ErrLost)
	p.hostUntilLate("worker 3, ")
	p.join(context.Background(), nil, nil)
	p.ended.Wait()
	host := p.stories[2]
	sameWeights(t, finalWeights(t, host), finalWeights(t, p.stories[0]))
	sameWeights(t, finalWeights(t, host), finalWeights(t, p.stories[3]))
	for _, r := range roundsOf(t, host) {
		var who []int
		for _, s := range r.Shares {
			who = append(who, s.Process)
		}
		want, missing := map[int][]int{2: {0, 1, 2}, 3: {0, 1, 2}, 5: {0, 1}, 7: {0, 1, 3}, 8: {0, 1, 3}}[r.Step], 0
		if r.Step == 5 {
			missing = 1
		}
		if !slices.Equal(who, want) || len(r.Missing) != missing {
			t.Errorf("the round that ends with step %d: shares of %v, want %v; missing %+v", r.Step, who, want,
				r.Missing)
		}
	}
	p.noted("worker 2, \"a test\" at 127.0.0.1")
	p.noted("is gone")
}

// slow is a process whose batches take long.
func slow(by time.Duration) func(*story) {
	return func(s *story) {
		s.Hook = func(point string) {
			if point == "batch" {
				time.Sleep(by)
			}
		}
	}
}

// With a quorum of less than 1 a slow process is not waited for: its share is smaller, and all end the same.
func TestSlowProcessesHaveSmallerShares(t *testing.T) {
	p := newParty(t, withRounds(t, outer.WireF32, model.FullStorage), 0.6)
	p.join(context.Background(), slow(150*time.Millisecond), nil)
	p.join(context.Background(), nil, nil)
	p.host(nil)
	p.ended.Wait()
	host := p.stories[2]
	for _, s := range p.stories[:2] {
		sameWeights(t, finalWeights(t, host), finalWeights(t, s))
	}
	smaller := 0
	for _, r := range roundsOf(t, host) {
		for _, s := range r.Shares {
			if s.Process == 1 && s.Tokens < r.Shares[0].Tokens {
				smaller++
			}
		}
	}
	if smaller == 0 {
		t.Errorf("the slow process had no smaller share: %+v", roundsOf(t, host))
	}
}

// meeting is a group of processes in this one.
type meeting struct {
	mu    sync.Mutex
	met   *sync.Cond
	calls int
	came  int
	parts [][]byte
	all   []byte // of the call before
}

// seat is a process's place in a meeting.
type seat struct {
	*meeting
	rank int
}

func (s seat) Rank() int { return s.rank }
func (s seat) Size() int { return len(s.parts) }

func (s seat) Host(rank int) string { return fmt.Sprintf("host%d", rank) }

func (s seat) AllGather(send, recv []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts[s.rank] = slices.Clone(send)
	if s.came++; s.came == len(s.parts) {
		s.all, s.came = slices.Concat(s.parts...), 0
		s.calls++
		s.met.Broadcast()
	} else {
		for now := s.calls; s.calls == now; {
			s.met.Wait()
		}
	}
	copy(recv, s.all)
	return nil
}

// Processes of a group make the rounds that a coordinator makes with workers which it waits for: in f32 bit for bit.
func TestGroupMakesTheCoordinatorsRounds(t *testing.T) {
	s := withRounds(t, outer.WireF32, model.FullStorage)
	p := newParty(t, s, 1)
	p.join(context.Background(), nil, nil)
	p.join(context.Background(), nil, nil)
	p.host(nil)
	p.ended.Wait()
	want := finalWeights(t, p.stories[2])

	m := &meeting{parts: make([][]byte, 3)}
	m.met = sync.NewCond(&m.mu)
	var all sync.WaitGroup
	var stories []story
	for rank := range 3 {
		s := s.in(filepath.Join(t.TempDir(), "process"))
		s.Peers, s.Seed = rounds.NewAmong(seat{m, rank}, 0), uint64(rank)
		stories = append(stories, s)
		all.Add(1)
		go func() {
			defer all.Done()
			if err := s.run(context.Background(), gpu.NewHost()); err != nil {
				t.Errorf("process %d: %v", rank, err)
			}
		}()
	}
	all.Wait()
	for _, s := range stories {
		sameWeights(t, want, finalWeights(t, s))
	}
}
