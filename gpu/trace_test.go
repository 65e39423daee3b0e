package gpu

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// traced opens a device that can be traced and closes it with the test.
func traced(t *testing.T, choice string) (Device, *Trace) {
	t.Helper()
	if choice != "host" {
		adapter(t) // skips or fails where there is none
	}
	d, tr, err := OpenTraced(choice)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d, tr
}

func TestTrace(t *testing.T) {
	const calls, groups = slots + 50, 3 // two submissions
	for _, c := range []struct {
		name, choice, clock string
		submissions         int
		prepare             func(Device)
	}{
		{"host", "host", "plain Go", 0, nil},
		{"timestamps", os.Getenv("STEPLM_DEVICE"), "a tick of which is", 2, nil},
		// as without the feature
		{"waits", os.Getenv("STEPLM_DEVICE"), "in a submission of its own", 0, func(d Device) {
			w := d.(*wdevice)
			w.stamps.release()
			w.stamps = nil
			w.ledger.remove(stampSpec())
		}},
		{"no ticks", os.Getenv("STEPLM_DEVICE"), "do not advance", 0,
			func(d Device) { d.(*wdevice).stamps.first.ticks = 1<<63 - 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, tr := traced(t, c.choice)
			if w, ok := d.(*wdevice); ok && w.stamps == nil {
				t.Skip("the adapter has no timestamps")
			}
			if c.prepare != nil {
				c.prepare(d)
			}
			if diff := d.Ledger().Difference(Plan(d.Own())); diff != "" {
				t.Errorf("a device that can be traced holds other bytes than it says: %s", diff)
			}
			x, err := d.New(Spec{Name: "x", Class: Scratch, DType: U32, Shape: []int{groups}})
			if err != nil {
				t.Fatal(err)
			}
			pass := func() {
				t.Helper()
				p := d.Begin("counting")
				for range calls {
					p.Run(Call{Kernel: &count, Groups: [3]int{groups, 1, 1}, Params: []uint32{groups, 1},
						Tensors: []Tensor{x}, Work: 12})
				}
				if err := p.End(); err != nil {
					t.Fatal(err)
				}
			}
			pass()
			if n := len(tr.Spans()); n > 0 {
				t.Errorf("%d spans before Start", n)
			}
			if err := tr.Start(); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(tr.Clock(), c.clock) {
				t.Errorf("clock %q, want %q", tr.Clock(), c.clock)
			}
			before := time.Since(tr.begun)
			pass()
			got := make([]uint32, groups)
			if err := d.Read(x, 0, got); err != nil || !slices.Equal(got, []uint32{2 * calls, 2 * calls, 2 * calls}) {
				t.Errorf("counted %v, %v; want %d each", got, err, 2*calls)
			}
			after := time.Since(tr.begun)
			tr.Stop()
			spans := tr.Spans()
			pass()
			if n := len(tr.Spans()); n != len(spans) {
				t.Errorf("%d spans after Stop", n-len(spans))
			}

			var dispatches, submissions []Span
			cpu := map[string]int{}
			for _, s := range spans {
				// The two clocks may differ a little; a day, or seconds taken for
				// nanoseconds, are found.
				if slack := 10 * time.Second; s.Duration < 0 || s.Start < before-slack ||
					s.Start+s.Duration > after+slack {
					t.Fatalf("%+v is not between %s and %s", s, before, after)
				}
				switch s.Track {
				case Dispatches:
					dispatches = append(dispatches, s)
				case Submissions:
					submissions = append(submissions, s)
				default:
					cpu[s.Name]++
				}
			}
			if len(dispatches) != calls {
				t.Fatalf("%d dispatches, want %d", len(dispatches), calls)
			}
			total := time.Duration(0)
			for i, s := range dispatches {
				if s.Name != "count" || s.Pass != "counting" || s.Work != 12 || s.Groups != [3]int{groups, 1, 1} ||
					s.Submission == 0 != (c.name == "host") {
					t.Fatalf("dispatch %d: %+v", i, s)
				}
				if i > 0 && s.Start < dispatches[i-1].Start {
					t.Fatalf("dispatch %d begins before the one before it", i)
				}
				total += s.Duration
			}
			if total == 0 {
				t.Error("all dispatches together took no time")
			}
			work := 0.0
			for _, s := range submissions {
				work += s.Work
			}
			if len(submissions) != c.submissions || c.submissions > 0 && work != 12*calls {
				t.Errorf("%d submissions of work %g, want %d of %d", len(submissions), work, c.submissions, 12*calls)
			}
			if cpu["record counting"] != 1 || cpu["read x"] != 1 || c.name != "host" && cpu["wait"] < 1 {
				t.Errorf("on the CPU's track: %v", cpu)
			}
		})
	}
}

// A device that was not opened for it has nothing to do with traces.
func TestNoTrace(t *testing.T) {
	d := adapter(t)
	if d.stamps != nil || d.trace.active() || len(d.Own()) != len(OwnSpecs()) {
		t.Error("a device that is not traced holds timestamps")
	}
	d.trace.begin("nothing")()
}
