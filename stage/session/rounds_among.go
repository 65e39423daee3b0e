package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"steplm/gpu"
	"steplm/internal/disk"
	"steplm/model/advice"
	"steplm/model/checkpoint"
	"steplm/stage"
	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/reduce"
	"steplm/stage/rounds"
)

// OpenRounds is Open, or with resumed Resume, of a run with rounds that several processes make, in each of which a
// session of the same Spec is opened. Each trains alone between the rounds' ends, and so has a state, data in an order
// and a folder of its own: that of the process that leads is the run's, and the others' lie in it.
func OpenRounds(ctx context.Context, dev gpu.Device, spec Spec, resumed bool, ui UI, g reduce.Group) (*Session, error) {
	if w := spec.Processes.Wire; w != "" {
		return nil, badOption("wire", w, "in rounds changes travel, which have a type of their own, and no gradients: "+
			"leave it out")
	}
	if spec.Processes.NoOverlap {
		return nil, badOption("no_overlap", "", "in rounds there are no sums of gradients that could: leave it out")
	}
	if err := spec.together(); err != nil {
		return nil, err
	}
	s := &Session{Device: dev, Spec: spec, Resumed: resumed, meets: reduce.New(g, reduce.Options{}),
		Peers: rounds.NewAmong(g, spec.Outer.Start)}
	if rank := g.Rank(); rank > 0 {
		s.Spec.Outer.Process, s.Spec.Output.Log = rank, nil
		s.Spec.Output.Out = rankFolder(spec.Output.Out, rank)
		s.Spec.Evaluation = Evaluation{} // which the one that leads makes
	}
	if resumed {
		if err := s.goOnTogether(); err != nil {
			return nil, err
		}
	}
	return open(ctx, dev, s, ui)
}

// together refuses what one process of those that make rounds would do alone: go back from a spike, or end early.
func (s Spec) together() error {
	if s.Guard.OnSpike == recipe.RollbackOnSpike {
		return badOption(advice.OnSpike, s.Guard.OnSpike, "one process of several cannot go back alone: use %s",
			recipe.StopOnSpike)
	}
	if n := s.Tuning.Patience; n > 0 {
		return badOption("patience", n, "one process of several cannot end alone: leave it out")
	}
	return nil
}

// goOnTogether has the process go on from the checkpoint that most processes have one like: rounds are done up to the
// same step. Where this one has none, it has no part in the run yet; what it has of another time is set aside.
func (s *Session) goOnTogether() error {
	dir := s.Spec.Output.Out
	var own, lead []stage.Point
	var err error
	if record.HoldsRun(dir) {
		if own, err = stage.Points(dir); err != nil {
			return err
		}
	}
	text, err := json.Marshal(own)
	if err != nil {
		return err
	}
	first, err := s.meets.FromLead(string(text))
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(first), &lead); err != nil {
		return err
	}
	counts := make([]int64, len(lead))
	for i, p := range lead {
		if newest(own, p.Rounds) != "" {
			counts[i] = 1
		}
	}
	if err := s.meets.Sum(counts); err != nil {
		return err
	}
	name, most := "", int64(0)
	for i, n := range counts {
		if n >= most {
			name, most = newest(own, lead[i].Rounds), n
		}
	}
	switch {
	case name != "":
		return goOnFrom(dir, name)
	case s.meets.Leads(): // It saved none.
		return nil
	}
	s.Resumed, s.adds = false, true
	if record.HoldsRun(dir) {
		return setAside(dir)
	}
	return nil
}

// newest is the newest checkpoint whose rounds are done up to a step; "": there is none.
func newest(list []stage.Point, rounds int) string {
	for _, p := range slices.Backward(list) {
		if p.Rounds == rounds {
			return p.Name
		}
	}
	return ""
}

// goOnFrom has the run in a folder go on from a checkpoint.
func goOnFrom(dir, name string) error {
	f, err := record.Lock(dir)
	if err != nil {
		return err
	}
	if last, _, err := record.LastCheckpoint(dir); err == nil && last == name {
		return f.Close()
	}
	return errors.Join(checkpoint.SetLatest(f.Checkpoints(), name), f.Close())
}

// setAside renames a folder.
func setAside(dir string) error {
	f, err := record.Lock(dir) // unless another process is in it
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	for i := 1; ; i++ {
		to := fmt.Sprintf("%s-%d", dir, i)
		if !exists(to) {
			return disk.Rename(dir, to)
		}
	}
}

// sameRounds compares the recipe with that of the process that leads. One that a resume adds takes that.
func (s *Session) sameRounds() error {
	text, err := json.Marshal(s.Recipe)
	if err != nil {
		return err
	}
	lead, err := s.meets.FromLead(string(text))
	if err != nil {
		return err
	}
	theirs, _, err := recipe.Decode([]byte(lead))
	if err != nil {
		return err
	}
	if s.adds { // It was made of the same Spec, which does not know where the run was made longer.
		s.Recipe = theirs
		return nil
	}
	if d := s.Recipe.Differences(theirs); d != "" {
		return fmt.Errorf("this process would train another recipe than the first: %s", d)
	}
	return nil
}

// leave tells the others that this process has come to the run's end, or was told to stop. After another error the
// caller ends all.
func (s *Session) leave(err error) error {
	if err != nil && !errors.Is(err, stage.ErrStopped) {
		return err
	}
	return errors.Join(err, s.Peers.(*rounds.Among).Leave())
}

// inTurn has the process that leads do something first, and then the others: their folders lie in its own.
func (s *Session) inTurn(do func() error) error {
	if s.meets.Leads() {
		if err := do(); err != nil {
			return err
		}
	}
	if _, err := s.meets.FromLead(""); err != nil {
		return err
	}
	if s.meets.Leads() {
		return nil
	}
	return do()
}

// ranksDir is where, in the folder of a run that several processes make in rounds, those of the others lie.
const ranksDir = "ranks"

// rankFolder is the folder of a rank above 0.
func rankFolder(run string, rank int) string { return filepath.Join(run, ranksDir, strconv.Itoa(rank)) }

// discard removes a run of which there is nothing to keep. Of processes that make rounds, whichever is the last one
// removes what the folders of all lay in.
func (s *Session) discard(f *stage.Folder) error {
	err := f.Discard()
	if s.meets == nil {
		return err
	}
	run := f.Dir
	if !s.meets.Leads() {
		run = filepath.Dir(filepath.Dir(f.Dir))
	}
	os.Remove(filepath.Join(run, ranksDir)) // these two only if they are empty
	os.Remove(run)
	return err
}

// clearRanks discards what is left of the other processes where the run's own folder went: it failed before its first
// step, and ended them before they could do so themselves. What has checkpoints stays.
func clearRanks(run string) error {
	if record.HoldsRun(run) {
		return nil // It is in the way, and refused.
	}
	entries, err := os.ReadDir(filepath.Join(run, ranksDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var left []string
	for _, e := range entries {
		rank, err := strconv.Atoi(e.Name())
		if dir := rankFolder(run, rank); err == nil && (record.HoldsRun(dir) || record.Beginnable(dir) == nil) {
			left = append(left, dir)
		}
	}
	if slices.ContainsFunc(left, func(dir string) bool { return len(record.CheckpointNames(dir)) > 0 }) {
		return nil
	}
	for _, dir := range left {
		f, err := record.Lock(dir) // unless another process is in it
		if err == nil {
			err = f.Discard()
		}
		if err != nil {
			return err
		}
	}
	os.Remove(filepath.Join(run, ranksDir)) // only if it is empty
	return nil
}
