package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"steplm/stage/experiment"
	"steplm/stage/harness"
	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/results"
)

// origin is the run with whose model another one began, as far as it lies where it was.
type origin struct {
	label     string
	method    string
	optimizer string
	family    string // what is the same in all its seeds
}

// readOrigin reads the run that a run's Spec begins with; nil: it begins with none, or that cannot be read.
func (r *run) readOrigin() *origin {
	var path string
	if json.Unmarshal([]byte(r.spec["model.init"]), &path) != nil || path == "" || !record.HoldsRun(path) {
		return nil
	}
	text, _, err := record.RecipeText(path)
	if err != nil {
		return nil
	}
	if _, _, err := recipe.Decode(text); err != nil {
		return nil
	}
	var spec map[string]string // nil: of an earlier version
	if text, err := os.ReadFile(filepath.Join(path, record.SpecFile)); err == nil {
		spec = flattened(text)
	}
	row := results.Of(path)
	return &origin{label(&run{Row: row}), row.Method, row.Optimizer,
		identity(uncounted(flattened(text), spec), "seed", "weights")}
}

// kind is the method by which a run's model came about: that of the run with whose model it began, else its own.
func (r *run) kind() (method, optimizer string) {
	if r.origin != nil {
		return r.origin.method, r.origin.optimizer
	}
	return r.Method, r.Optimizer
}

// configuration is what runs have in common that differ in their seeds.
func (r *run) configuration() string { return r.common(uncounted(r.made, r.spec)) }

// family is what runs have in common that differ in their seeds and learning rates.
func (r *run) family() string { return r.common(shares(uncounted(r.made, r.spec))) }

// uncounted are a recipe's values. Of a run whose length is in epochs the counts of steps follow from the examples that
// its seed leaves to train on, and how they are packed: in their place is the schedule that its Spec asked for.
func uncounted(made, spec map[string]string) map[string]string {
	if epochs := spec["schedule.epochs"]; epochs == "" || epochs == "0" {
		return made
	}
	out := map[string]string{}
	for path, value := range made {
		if !slices.Contains(stepCounts, last(path)) {
			out[path] = value
		}
	}
	for path, value := range spec {
		if strings.HasPrefix(path, "schedule.") && last(path) != "lr" {
			out["asked."+path] = value
		}
	}
	return out
}

// stepCounts are what recipes call numbers of steps.
var stepCounts = []string{"steps", "decay", "first_warmup", "restart_every", "restart_warmup", "restart_shift"}

// shares are a recipe's values without the learning rate of each stage, of which those of adapters and of embedding and
// head, that a recipe has beside it, are shares.
func shares(made map[string]string) map[string]string {
	out := map[string]string{}
	for path, value := range made {
		switch last(path) {
		case "lr":
			continue
		case "adapter_lr", "embedding_lr":
			rate, errRate := strconv.ParseFloat(value, 64)
			of, errOf := strconv.ParseFloat(made[strings.TrimSuffix(path, last(path))+"lr"], 64)
			if errRate == nil && errOf == nil {
				value = fmt.Sprintf("%.6g", rate/of)
			}
		}
		out[path] = value
	}
	return out
}

// common is a recipe's values but the seed, and what the run that it began with has in common with others.
func (r *run) common(made map[string]string) string {
	if r.origin == nil {
		return identity(made, "seed")
	}
	// The weights are another model's for each seed.
	return identity(made, "seed", "weights") + "begun with\n" + r.origin.family
}

// readBefore reads what the model scored with which a run began.
func (r *run) readBefore() {
	s, ok, err := harness.ReadScores(filepath.Join(r.dir, experiment.BeforeDir))
	if ok {
		r.before, err = s.Table()
	}
	if err != nil {
		r.problems = append(r.problems, err.Error())
	}
}
