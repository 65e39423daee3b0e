package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"steplm/cmd/steplm/internal/curves"
	"steplm/gpu"
	"steplm/internal/disk"
	"steplm/stage/eval"
	"steplm/stage/experiment"
	"steplm/stage/harness"
	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/results"
)

// run is a run as the report has it.
type run struct {
	dir string
	results.Row
	// recipe is nil where it cannot be read: what follows from it is then not known.
	recipe *recipe.Recipe
	// spec and made are the files of the folder as they are, each value by its path; nil: none.
	spec, made map[string]string
	curve      curves.Run
	crossings  []curves.Crossing
	bytes      planned
	// measured are its evaluations that have a loss, protocols how the last of each set was measured.
	measured  []curves.Measurement
	protocols map[string]string
	judged    *judged         // what MT-Bench's judge said; nil: nothing
	system    []record.System // what it ran on, in order
	origin    *origin         // with whose model it began; nil: not known, or none
	scores    []harness.Score // of its final model
	before    []harness.Score // of the model with which it began
	cut       map[string]int  // requests of each task that lost their beginning
	leftOut   map[string]int  // documents of each task that were not asked
	answers   *answers        // to MT-Bench; nil: none
	// answeredBefore are those of the model with which it began.
	answeredBefore *answers
	problems       []string
}

// planned are bytes that a recipe's stages take, and what vanilla training of the same model, optimizer, storage and
// batch would; 0: not known.
type planned struct {
	peak, states               int64
	vanillaPeak, vanillaStates int64
	paper, paperVanilla        int64 // by the formula of STEP's paper
}

// experimentDir is the folder of the experiment that a run is of, if it is of one.
func (r *run) experimentDir() string { return filepath.Dir(filepath.Dir(r.dir)) }

// readRun reads a folder. It never fails: what is wrong is said.
func readRun(f found, name string) *run {
	r := &run{dir: f.dir, Row: results.Of(f.dir)}
	if f.row != nil && r.Status == results.Missing && !exists(f.dir) {
		r.absent(*f.row)
	}
	r.Run = name
	if f.row != nil {
		r.Experiment = f.row.Experiment
		if r.Status == results.Done && f.row.Status == results.Selection {
			r.Status = results.Selection
		}
	}
	if r.Problem != "" {
		r.problems = append(r.problems, r.Problem)
	}
	var err error
	if r.system, err = record.Systems(f.dir); err != nil && !disk.Missing(err) { // as it is of an earlier version's run
		r.problems = append(r.problems, err.Error())
	}
	if text, _, err := record.RecipeText(f.dir); err == nil {
		r.made = flattened(text)
		if made, _, err := recipe.Decode(text); err == nil {
			r.recipe = &made
			if r.bytes, err = plannedBytes(made, r.own()); err != nil {
				r.problems = append(r.problems, err.Error())
			}
		}
	}
	path := filepath.Join(f.dir, record.SpecFile)
	text, err := os.ReadFile(path)
	if err == nil {
		if r.spec = flattened(text); r.spec == nil {
			err = fmt.Errorf("%s cannot be understood: what was asked for is not known", path)
		}
	}
	if err != nil && !disk.Missing(err) {
		r.problems = append(r.problems, err.Error())
	}
	if r.spec != nil {
		delete(r.spec, "output.out") // Where a run lies is no option by which it differs from another.
	}
	r.readCurve()
	r.readJudged()
	r.readScores()
	r.readBefore()
	r.readAnswers()
	r.origin = r.readOrigin()
	return r
}

// absent takes what an experiment's table says of a run without a folder, which may have failed before its first step.
func (r *run) absent(row results.Row) {
	r.Row = row
	switch row.Status {
	case results.Failed, results.Diverged:
		r.Problem = "it left no folder, and its experiment does not say why"
		if state, err := experiment.ReadState(r.experimentDir()); err != nil {
			r.Problem = err.Error()
		} else if why, ok := state.Failures[row.Run]; ok {
			r.Problem = why.Error
		}
	case results.Missing, results.Unfinished:
		r.Status, r.Problem = results.Missing, "it has not begun"
	default:
		r.Status, r.Problem = results.Missing, fmt.Sprintf("its folder is gone; it was %s", row.Status)
	}
}

// readCurve reads the metrics. What is wrong with their lines the row says already.
func (r *run) readCurve() {
	r.curve, _ = curves.Read(r.dir, r.Run)
	r.crossings = r.curve.Crossings()
	measured, err := r.curve.Measurements()
	if r.measured = measured; err != nil {
		r.problems = append(r.problems, err.Error())
	}
	r.protocols = map[string]string{}
	for _, after := range r.curve.Curve.Events {
		var found eval.Result
		if e, ok := after.Event.(record.Evaluation); ok && e.When == "end" && e.Result.Into(&found) == nil {
			r.protocols[e.Set] = protocol(found)
		}
	}
}

// seconds of work, 0 where they are not known.
func (r *run) seconds() float64 {
	if n := len(r.curve.Curve.Seconds); n > 0 {
		return r.curve.Curve.Seconds[n-1]
	}
	return 0
}

// perplexity is what was measured of a set at the end, NaN where nothing was.
func (r *run) perplexity(set string) float64 {
	switch {
	case set == wikitext:
		return r.WikitextWordPerplexity
	case set == validation:
		return r.ValidationPerplexity
	}
	return math.NaN()
}

// Sets of the table's columns.
const (
	validation = "validation"
	wikitext   = "WikiText"
)

// own is what the run's device keeps for itself: as GPUs do where nobody knows.
func (r *run) own() int64 {
	if n := len(r.system); n > 0 {
		return r.system[n-1].Own
	}
	return gpu.Plan(gpu.OwnSpecs()).Total()
}

// plannedBytes are those of a recipe, on a device that keeps so many for itself.
func plannedBytes(r recipe.Recipe, own int64) (p planned, err error) {
	layouts, err := r.Layouts()
	if err != nil {
		return p, err
	}
	for _, l := range layouts {
		peak, states := took(r.Specs(l))
		p.peak, p.states = max(p.peak, own+peak), max(p.states, states)
	}
	vanilla := r
	vanilla.Stages = []recipe.Stage{{Layers: r.Model.Layers, Steps: 1}}
	whole, err := vanilla.Layouts()
	if err != nil {
		return p, err
	}
	p.vanillaPeak, p.vanillaStates = took(vanilla.Specs(whole[0]))
	p.vanillaPeak += own
	p.paper, err = paperBytes(r)
	p.paperVanilla = recipe.PaperVanillaBytes(r.Model.BlockParams(), r.Model.Layers)
	return p, err
}

// took is what tensors take on a device, all of them and those of the model's states.
func took(specs []gpu.Spec) (all, states int64) {
	ledger := gpu.Plan(specs)
	by := ledger.ByClass()
	return ledger.Total(), ledger.Total() - by[gpu.Activations.String()] - by[gpu.Scratch.String()]
}

// paperBytes is the formula of STEP's paper, of the largest stage; 0: it has none for methods that do not grow, but
// vanilla training.
func paperBytes(r recipe.Recipe) (most int64, err error) {
	o := recipe.Options{Model: r.Model, LoRA: r.LoRA, NoFreeze: true, NoLoRA: true}
	grows := false
	for i, s := range r.Stages {
		for _, v := range s.Entry.Verbs {
			o.NoFreeze = o.NoFreeze && v.Do != recipe.Freeze
			o.NoLoRA = o.NoLoRA && v.Do != recipe.Wrap
		}
		grows = grows || i > 0 && s.Layers > r.Stages[i-1].Layers
	}
	if !grows && r.Method != recipe.VanillaName {
		return 0, nil
	}
	formula, err := o.PaperBytes()
	if err != nil {
		return 0, err
	}
	for i, added := range r.LayersAdded() {
		most = max(most, formula(added, r.Stages[i].Layers-added))
	}
	return most, nil
}

// protocol says how a result was measured.
func protocol(r eval.Result) string {
	text, err := json.Marshal(r.Protocol)
	if err != nil {
		return ""
	}
	var words []string
	for path, value := range sorted(flattened(text)) {
		words = append(words, path+" "+strings.Trim(value, `"`))
	}
	return strings.Join(words, ", ")
}

// flattened is a JSON object's values by their paths; nil of what is no object.
func flattened(text []byte) map[string]string {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var object map[string]any
	if d.Decode(&object) != nil {
		return nil
	}
	out := map[string]string{}
	flatten(out, "", object)
	return out
}
