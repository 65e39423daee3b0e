package stories

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/stage"
	"steplm/stage/record"
)

// The trained model is written before it is measured: a stop in that evaluation loses nothing, and the run goes on to
// the same end.
func TestStopInFinalEvaluation(t *testing.T) {
	s := newStory(t)
	want, _ := straight(t, s, gpu.NewHost())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.Hook = func(p string) {
		if p == "export" {
			cancel()
		}
	}
	err := s.run(ctx, gpu.NewHost())
	final := filepath.Join(s.Dir, record.FinalDir)
	if !errors.Is(err, stage.ErrStopped) || !strings.Contains(err.Error(), final) {
		t.Fatalf("error %v, want that it stopped and that the model is in %s", err, final)
	}
	if _, err := os.Stat(filepath.Join(final, "exported.json")); err != nil {
		t.Fatal(err)
	}
	s.Hook = nil
	if err := s.run(t.Context(), gpu.NewHost()); err != nil {
		t.Fatal(err)
	}
	checkTold(t, s, want)
}
