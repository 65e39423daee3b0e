package eval

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/hf"
)

// A model on a device continues a text as llama2.c does, up to a stop, and gives back what that took.
func TestContinueStories260K(t *testing.T) {
	dir := datatest.Path(t, "models/stories260K")
	var golden struct{ Sequences []struct{ Tokens []uint32 } }
	text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	if err == nil {
		err = json.Unmarshal(text, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	want := golden.Sequences[0].Tokens
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		m, err := hf.Load(d, dir)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Free()
		a, err := model.NewActivations(d, m.Layout, model.Size{Batch: 2, SeqLen: 16})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Free()
		before := d.Ledger().Total()
		scores := OnDevice(m, a)
		got, err := ContinueText(t.Context(), scores, want[:20], 60, nil)
		if err != nil || !slices.Equal(got, want[20:80]) {
			t.Errorf("%v, %v, want %v", got, err, want[20:80])
		}
		stop := want[45]
		got, err = ContinueText(t.Context(), scores, want[:20], 60, []uint32{stop})
		if n := slices.Index(want[20:], stop) + 1; err != nil || !slices.Equal(got, want[20:20+n]) {
			t.Errorf("up to %d: %v, %v", stop, got, err)
		}
		stopped, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := ContinueText(stopped, scores, want[:20], 60, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("when it is cancelled: %v", err)
		}
		if _, err := ContinueText(t.Context(), scores, make([]uint32, 600), 1, nil); err == nil {
			t.Error("600 tokens are continued")
		}
		if after := d.Ledger().Total(); after != before {
			t.Errorf("%d bytes are left", after-before)
		}
	})
}
