package results

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"steplm/gpu"
	"steplm/stage/eval"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// Of is the row of the run in a folder. It belongs to no experiment as far as the folder knows.
func Of(folder string) Row {
	row := Nothing()
	row.Run, row.Status = filepath.Base(absolute(folder)), Unfinished
	text, path, err := record.RecipeText(folder)
	if err != nil {
		return row.wrong(Missing, err)
	}
	r, _, err := recipe.Decode(text)
	if err != nil {
		return row.wrong(Damaged, fmt.Errorf("%s: %w", path, err))
	}
	row.describe(r)
	m, nothing := measured{recipe: r, own: make([]int, len(r.Stages))}, ""
	if info, err := os.Stat(filepath.Join(folder, record.File)); err == nil && !info.Mode().IsRegular() {
		return row.wrong(Damaged, fmt.Errorf("%s is no file", filepath.Join(folder, record.File)))
	}
	for e, err := range record.Read(filepath.Join(folder, record.File)) {
		if errors.Is(err, fs.ErrNotExist) {
			nothing = fmt.Sprintf(", and there is no %s", record.File)
			break // It was killed before its first line, or somebody removed them.
		}
		if err == nil {
			err = m.add(e)
		}
		if err != nil {
			m.fill(&row)
			return row.wrong(Damaged, err)
		}
	}
	if err := m.fill(&row); err != nil {
		return row.wrong(Damaged, err)
	}
	switch {
	case m.failure != nil && m.failure.Diverged:
		return row.wrong(Diverged, errors.New(m.failure.Error))
	case m.failure != nil:
		return row.wrong(Failed, errors.New(m.failure.Error))
	case m.ended:
		row.Status = Done
	default:
		row.Problem = fmt.Sprintf("%d of %d steps are done%s", m.step, r.Steps(), nothing)
	}
	return row
}

// Nothing is the row of a run of which nothing is known.
func Nothing() Row {
	nan := math.NaN()
	return Row{TrainLoss: nan, ValidationPerplexity: nan, WikitextWordPerplexity: nan, TokensPerSecond: nan,
		Status: Missing}
}

// Planned is a row with what a recipe says of a run that is yet to come.
func Planned(row Row, r recipe.Recipe) Row {
	row.describe(r)
	return row
}

func absolute(path string) string {
	if a, err := filepath.Abs(path); err == nil {
		return a
	}
	return path
}

// wrong is the row of a run with which something is wrong.
func (r Row) wrong(s Status, err error) Row {
	if errors.Is(err, recipe.ErrVersion) || errors.Is(err, record.ErrVersion) {
		s = Version
	}
	r.Status, r.Problem = s, err.Error()
	return r
}

// describe takes from a recipe what it says of the run.
func (r *Row) describe(from recipe.Recipe) {
	r.Method, r.Seed, r.Stages = from.Method, from.Seed, 1
	if from.Optimizer.Settings != nil {
		r.Optimizer = from.Optimizer.Settings.Name()
	}
	for i, s := range from.Stages {
		if i > 0 && s.Layers > from.Stages[i-1].Layers {
			r.Stages++
		}
		r.LR = append(r.LR, s.LR)
	}
	if all := slices.Compact(slices.Clone(r.LR)); len(all) == 1 {
		r.LR = all
	}
}

// measured is what the lines of a run's metrics say together.
type measured struct {
	recipe  recipe.Recipe
	losses  []float64
	step    int // the last that was done
	tokens  int64
	seconds float64 // of steps
	flops   float64 // of steps that say theirs, since the data decide how many they are
	own     []int   // how many these steps are, by stage
	peak    int64
	states  int64
	results map[string]eval.Result // at the end, by set
	failure *record.Failure
	ended   bool
}

// stateClasses are those of model states.
var stateClasses = []gpu.Class{gpu.Weights, gpu.LoRA, gpu.Gradients, gpu.Optimizer}

// add takes in a line.
func (m *measured) add(e record.Event) error {
	m.peak = max(m.peak, e.Moment().PeakBytes)
	switch e := e.(type) {
	case record.Metrics:
		if e.Step <= m.step || e.Tokens <= m.tokens { // Lines may be lost, which a resume tells of.
			return fmt.Errorf("its metrics have step %d (%d tokens) after step %d (%d tokens)", e.Step, e.Tokens,
				m.step, m.tokens)
		}
		if e.TokensPerSecond > 0 {
			m.seconds += float64(e.Tokens-m.tokens) / e.TokensPerSecond
		}
		if e.FLOPs > 0 {
			stage, _ := m.recipe.StageOf(e.Step - 1)
			m.flops += e.FLOPs
			m.own[stage]++
		}
		m.losses, m.step, m.tokens = append(m.losses, e.Loss), e.Step, e.Tokens
		m.results, m.failure, m.ended = nil, nil, false // What was said after fewer steps no longer holds.
		var states int64
		for _, c := range stateClasses {
			states += e.Bytes[c.String()]
		}
		m.states = max(m.states, states)
	case record.Evaluation:
		if e.When != "end" {
			return nil
		}
		var r eval.Result
		if err := e.Result.Into(&r); err != nil {
			return fmt.Errorf("its evaluation of %s: %w", e.Set, err)
		}
		if m.results == nil {
			m.results = map[string]eval.Result{}
		}
		m.results[e.Set] = r
	case record.Failure:
		m.failure = &e
	case record.Resume:
		m.failure, m.ended = nil, false
	case record.End:
		m.ended = true
	}
	return nil
}

// heldOut is the perplexity per token of what is held out of several sources together, each of which has a set: holdout
// 1 and so on.
func (m *measured) heldOut() (perplexity float64, ok bool) {
	nll, tokens := 0.0, int64(0)
	for _, set := range slices.Sorted(maps.Keys(m.results)) { // in one order, for the sum's last digits
		if strings.HasPrefix(set, "holdout ") {
			nll += m.results[set].Value("nll")
			tokens += m.results[set].Tokens()
		}
	}
	return math.Exp(nll / float64(tokens)), tokens > 0
}

// fill writes it into a row.
func (m *measured) fill(r *Row) error {
	r.Tokens, r.PeakBytes, r.StateBytes = m.tokens, m.peak, m.states
	if n := len(m.losses); n > 0 {
		last := m.losses[n-max(1, n/10):]
		r.TrainLoss = 0
		for _, loss := range last {
			r.TrainLoss += loss / float64(len(last))
		}
	}
	if m.seconds > 0 {
		r.TokensPerSecond = float64(m.tokens) / m.seconds
	}
	if perplexity, ok := m.heldOut(); ok {
		r.ValidationPerplexity = perplexity
	}
	for _, set := range []string{"holdout", "validation"} {
		if found, ok := m.results[set]; ok {
			r.ValidationPerplexity = found.Perplexity()
		}
	}
	if found, ok := m.results["wikitext"]; ok {
		r.WikitextWordPerplexity = found.Perplexity()
	}
	each, err := m.recipe.StepFLOPs()
	if err != nil {
		return err
	}
	r.FLOPs = m.flops
	for i, left := 0, m.step; i < len(each); i++ { // The steps that say none have the recipe's.
		done := min(left, m.recipe.Stages[i].Steps)
		r.FLOPs += float64(done-m.own[i]) * each[i]
		left -= done
	}
	return nil
}
