package stories

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/stage/eval"
	"steplm/stage/record"
)

// What a real run wrote is read back with its types, and each event is its line again.
func TestRecordOfARun(t *testing.T) {
	s := newStory(t)
	s.Keep = 0
	if err := s.run(t.Context(), gpu.NewHost()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(s.Dir, record.File))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	var steps, told []string
	n := 0
	for e, err := range record.Read(s.Dir) {
		if err != nil {
			t.Fatal(err)
		}
		if again, err := record.Encode(e); err != nil || !bytes.Equal(again, lines[n]) {
			t.Errorf("line %d is\n%s, its event is written as\n%s(%v)", n+1, lines[n], again, err)
		}
		n++
		switch e := e.(type) {
		case record.Metrics:
			if steps = append(steps, fmt.Sprint(e.Step)); !(e.Loss > 0) || e.Bytes["weights"] == 0 || e.PeakBytes == 0 {
				t.Errorf("step %+v", e)
			}
		case record.Growth:
			told = append(told, fmt.Sprintf("%d to %d layers after step %d, new are %v", e.From, e.To, e.Step, e.New))
		case record.Evaluation:
			var r eval.Result
			if err := e.Result.Into(&r); err != nil {
				t.Fatal(err)
			}
			if e.Set != "held" || r.Task != "held" || !(r.Perplexity() > 1) ||
				r.Tokens() != int64(s.Recipe.Batch.Rows()) {
				t.Errorf("evaluation %+v: %+v", e, r)
			}
			if e.When != "every" {
				told = append(told, e.When)
			}
		case record.Samples:
			for _, x := range e.Samples {
				text, err := byteTokenizer{}.Decode(x.IDs)
				if err != nil || x.Finish != "length" ||
					text != x.Text || len(x.IDs) < s.Recipe.Batch.SeqLen-3 {
					t.Errorf("sample %+v", x)
				}
				told = append(told, "heard "+x.Prompt)
			}
		case record.Checkpoint:
			told = append(told, e.Checkpoint)
		case record.End:
			told = append(told, "end in "+e.Checkpoint)
		default:
			t.Errorf("%T: %+v", e, e)
		}
	}
	if n != len(lines)-1 {
		t.Errorf("%d events of %d lines", n, len(lines)-1)
	}
	if want := []string{"1", "2", "3", "4", "5", "6", "7", "8"}; !slices.Equal(steps, want) {
		t.Errorf("steps %v, want %v", steps, want)
	}
	want := []string{
		"step-2", "step-3", "heard doc", "heard a", "before growth", "2 to 4 layers after step 3, new are [1 2]",
		"after growth", "step-4", "step-6", "heard doc", "heard a", "step-8", "end", "end in final",
	}
	if !slices.Equal(told, want) {
		t.Errorf("events %q, want %q", told, want)
	}
	curve, err := record.ReadCurve(s.Dir)
	var growths []int
	for _, e := range curve.Events {
		if _, ok := e.Event.(record.Growth); ok {
			growths = append(growths, e.Index)
		}
	}
	if err != nil || len(curve.Steps) != 8 || !slices.Equal(growths, []int{2}) {
		t.Errorf("curve %+v, %v", curve, err)
	}
}

// Samples take nothing from training: every number of the run is that of a run without, its bytes and its last
// checkpoint's too.
func TestSamplesDisturbNothing(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		s := newStory(t)
		var runs [2][]string
		for i, every := range []int{0, 1} {
			s.Sample = every
			heard := 0
			told, _ := straight(t, s, d)
			for _, line := range told {
				if strings.Contains(line, `"event":"samples"`) {
					heard++
					continue
				}
				// Which variants ran is of generating, too; a variant is never another number.
				line, _, _ = strings.Cut(line, `,"variants":`)
				runs[i] = append(runs[i], line)
			}
			if heard != every*s.Recipe.Steps() {
				t.Errorf("samples every %d steps: %d times", every, heard)
			}
		}
		if diff := cmp.Diff(runs[0], runs[1]); diff != "" {
			t.Errorf("(-without +with samples):\n%s", diff)
		}
	})
}
