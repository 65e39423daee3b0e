package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/model/optim"
	"steplm/stage/compare"
	"steplm/stage/experiment"
	"steplm/stage/recipe"
	"steplm/stage/results"
	"steplm/stage/session"
)

// setting is what methods are compared within: an experiment, one model, the same data and tokenizer. Where the
// experiment gave each method as many layers as fit the same bytes, the models have unlike numbers of layers.
type setting struct {
	title  string
	groups []*group
	// base is the group that all are compared with, of vanilla training unless another was asked for; nil: none.
	base    *group
	against string // the method that was asked for, see Reader
	// target is the loss that runs are asked when they reached it, base's final one, in hundredths of a nat.
	target    int
	protocols []string // of the sets, several of one set where its runs differ
}

// group is runs that differ in their seeds alone.
type group struct {
	setting *setting
	label   string // of its family, unlike those of others in its setting
	family  string // what is the same in all learning rates
	lr      string
	runs    []*run
	options map[string]string // see chosen
	// shown says that the table has it: of its family the learning rate that did best.
	shown bool
	index int // among all groups
	style int // of its curves, see chart.Style: those that are shown have the first
}

// done are the runs that count.
func (g *group) done() (list []*run) {
	for _, r := range g.runs {
		if r.Status == results.Done || r.Status == results.Selection {
			list = append(list, r)
		}
	}
	return list
}

// selection reports whether all runs only served to choose something.
func (g *group) selection() bool {
	return !slices.ContainsFunc(g.runs, func(r *run) bool { return r.Status != results.Selection })
}

// values are a number of each run that is done, by its seed.
func (g *group) values(of func(*run) float64) compare.Values {
	v := compare.Values{}
	for _, r := range g.done() {
		v[r.Seed] = of(r)
	}
	return v
}

// perplexity of a set, by seed.
func (g *group) perplexity(set string) compare.Values {
	return g.values(func(r *run) float64 { return r.perplexity(set) })
}

// most is the largest of a count of bytes over runs, 0 where none is known.
func (g *group) most(of func(*run) int64) (n int64) {
	for _, r := range g.runs {
		n = max(n, of(r))
	}
	return n
}

// peak is the most that a run of it took, or where none has been measured what it is planned to take.
func (g *group) peak() int64 {
	return cmp.Or(g.most(func(r *run) int64 { return r.PeakBytes }), g.most(func(r *run) int64 { return r.bytes.peak }))
}

// score is what a group of a family is chosen by, the smaller the better: the validation set's perplexity, or where
// there is none the training loss.
func (g *group) score() float64 {
	mean := g.perplexity(validation).Summary().Mean
	if math.IsNaN(mean) {
		mean = g.values(func(r *run) float64 { return r.TrainLoss }).Summary().Mean
	}
	return mean
}

// better orders groups of a family: more seeds that are done first, then by score.
func better(a, b *group) int {
	seeds := func(g *group) int { return len(g.values(func(*run) float64 { return 1 })) }
	if n := cmp.Compare(seeds(b), seeds(a)); n != 0 {
		return n
	}
	x, y := a.score(), b.score()
	if math.IsNaN(x) || math.IsNaN(y) { // What has no score comes last.
		return cmp.Compare(fmt.Sprint(math.IsNaN(x)), fmt.Sprint(math.IsNaN(y)))
	}
	return cmp.Compare(x, y)
}

// settings sorts runs with a recipe into what they are compared within.
func settings(runs []*run, against string) (list []*setting, groups []*group) {
	byKey, groupBy := map[string]*setting{}, map[string]*group{}
	byLayers := layersFit(runs)
	for _, r := range runs {
		if r.recipe == nil {
			continue
		}
		model := r.recipe.Model
		if byLayers[r.experimentDir()] {
			model.Layers = 0
		}
		config, err := json.Marshal(model)
		if err != nil {
			continue
		}
		key := strings.Join([]string{r.Experiment, string(config), r.recipe.Data.Train, r.recipe.Data.Tokenizer}, "\n")
		s := byKey[key]
		if s == nil {
			s = &setting{against: against}
			byKey[key] = s
			list = append(list, s)
		}
		whole := key + "\n" + r.configuration()
		g := groupBy[whole]
		if g == nil {
			g = &group{setting: s, family: r.family(), lr: lrText(r.LR), label: label(r)}
			groupBy[whole] = g
			s.groups = append(s.groups, g)
		}
		g.runs = append(g.runs, r)
	}
	for _, s := range list {
		s.finish()
		for _, g := range s.groups {
			g.index = len(groups)
			groups = append(groups, g)
		}
	}
	styles := 0
	for _, shown := range []bool{true, false} {
		for _, g := range groups {
			if g.shown == shown {
				g.style = styles
				styles++
			}
		}
	}
	return list, groups
}

// layersFit are the folders of the experiments among runs in which each method has as many layers as fit.
func layersFit(runs []*run) map[string]bool {
	fit := map[string]bool{}
	for _, r := range runs {
		dir := r.experimentDir()
		if _, known := fit[dir]; known || r.Experiment == "" {
			continue
		}
		f, err := experiment.ReadFile(filepath.Join(dir, experiment.DeclaredFile))
		fit[dir] = err == nil && f.Name == r.Experiment && f.Equal != nil && f.Equal.What == experiment.EqualBytes &&
			f.Equal.By == experiment.ByLayers
	}
	return fit
}

// layers are the numbers of layers that a setting's models have, ascending.
func (s *setting) layers() (list []int) {
	for _, g := range s.groups {
		list = append(list, g.layers())
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (g *group) layers() int { return g.runs[0].recipe.Model.Layers }

// describe is a setting's title: what all of its runs have in common.
func (s *setting) describe() string {
	r := s.groups[0].runs[0]
	c := r.recipe.Model
	var params, layers []string
	for _, n := range s.layers() {
		c.Layers = n
		params, layers = append(params, millions(c.TotalParams())), append(layers, fmt.Sprint(n))
	}
	title := fmt.Sprintf(
		"%s parameters: %s layers, hidden %d, FFN %d, vocabulary %s",
		strings.Join(params, ", "),
		strings.Join(layers, ", "),
		c.Hidden,
		c.FFN,
		view.Count(int64(c.Vocab)),
	)
	if r.Experiment != "" {
		title = r.Experiment + " · " + title
	}
	if hash := r.recipe.Data.Train; hash != "" {
		title += fmt.Sprintf("; data %.8s", hash)
	}
	return title
}

// millions prints a count of parameters as models are named by it: 368.0M.
func millions(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2fB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1fM", float64(n)/1e6)
	}
	return fmt.Sprintf("%.0fK", float64(n)/1e3)
}

// identity is a recipe without the values of some names.
func identity(made map[string]string, without ...string) string {
	var b strings.Builder
	for path, value := range sorted(made) {
		if !slices.Contains(without, last(path)) && !strings.HasPrefix(path, "earlier") {
			fmt.Fprintf(&b, "%s=%s\n", path, value)
		}
	}
	return b.String()
}

// label names a run's method as the table does: with its stages where it grows, and with an optimizer other than AdamW.
func label(r *run) string {
	if r.origin != nil {
		own := *r
		own.origin = nil
		return r.origin.label + ", then " + label(&own)
	}
	text := r.Method
	if r.Stages > 1 {
		text += fmt.Sprintf(" K=%d", r.Stages)
	}
	if m, err := recipe.FindMethod(r.Method); r.Optimizer != "" && r.Optimizer != (optim.AdamW{}).Name() &&
		(err != nil || m.Optimizer != r.Optimizer) {
		text += " × " + r.Optimizer
	}
	return text
}

func lrText(list []float64) string {
	var words []string
	for _, x := range list {
		words = append(words, fmt.Sprintf("%.3g", x))
	}
	return strings.Join(words, ", ")
}

// finish orders a setting's groups, tells those of one label apart, and chooses what is shown and compared with.
func (s *setting) finish() {
	for _, g := range s.groups {
		slices.SortFunc(g.runs, func(a, b *run) int {
			return cmp.Or(cmp.Compare(a.Seed, b.Seed), strings.Compare(a.dir, b.dir))
		})
		g.options = chosen(g.runs[0])
	}
	s.title = s.describe()
	if len(s.layers()) > 1 {
		for _, g := range s.groups {
			g.label += fmt.Sprintf(" · %d layers", g.layers())
			delete(g.options, "model.layers") // Its label says it.
		}
	}
	for _, chosen := range []bool{false, true} { // What chose a rate is shorter, and in another table.
		tellApart(slices.DeleteFunc(slices.Clone(s.groups), func(g *group) bool { return g.selection() != chosen }))
	}
	methods := recipe.MethodNames()
	order := func(g *group) int { // Vanilla first, then as the program lists its methods.
		method, _ := g.runs[0].kind()
		if method == recipe.VanillaName {
			return -1
		}
		return slices.Index(methods, method)
	}
	slices.SortStableFunc(s.groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(order(a), order(b)), strings.Compare(a.label, b.label), better(a, b))
	})
	families := map[string]bool{}
	for _, g := range s.groups {
		if !families[g.family] && !g.selection() {
			families[g.family], g.shown = true, true
		}
	}
	s.chooseBase()
	protocols := map[string]bool{}
	for _, g := range s.groups {
		for _, r := range g.done() {
			for set, text := range r.protocols {
				protocols[set+": "+text] = true
			}
		}
	}
	s.protocols = slices.Sorted(maps.Keys(protocols))
}

// tellApart adds to labels that several families have the options in which these differ, where a family has one.
func tellApart(groups []*group) {
	byLabel := map[string][]*group{}
	for _, g := range groups {
		byLabel[g.label] = append(byLabel[g.label], g)
	}
	for _, list := range byLabel {
		families := map[string]bool{}
		for _, g := range list {
			families[g.family] = true
		}
		if len(families) < 2 {
			continue
		}
		var differ []string
		for _, path := range slices.Sorted(maps.Keys(union(list))) {
			if slices.ContainsFunc(list, func(g *group) bool { return g.options[path] != list[0].options[path] }) {
				differ = append(differ, path)
			}
		}
		for _, g := range list {
			for _, path := range differ[:min(len(differ), 3)] {
				value, known := g.options[path]
				if !known {
					continue
				}
				g.label += fmt.Sprintf(" · %s %s", strings.ReplaceAll(last(path), "_", " "), strings.Trim(value, `"[]`))
			}
		}
	}
}

// defaults are the options that a run has where nothing is asked for.
var defaults = sync.OnceValue(func() map[string]string {
	text, err := json.Marshal(session.Default())
	if err != nil {
		return nil
	}
	return flattened(text)
})

// chosen are the options of a run that make it another family than its neighbours: those of the spec without where
// things lie, with the defaults that an earlier version did not write; where there is no spec the recipe's.
func chosen(r *run) map[string]string {
	out := map[string]string{}
	add := func(from map[string]string) {
		for path, value := range from {
			top, _, _ := strings.Cut(path, ".")
			if path == "model.init" && r.origin != nil {
				continue // Its label says which.
			}
			if name := last(path); !slices.Contains([]string{"data", "output", "evaluation"}, top) &&
				!slices.Contains([]string{"seed", "lr"}, name) {
				out[path] = value
			}
		}
	}
	if r.spec == nil {
		add(shares(r.made))
		return out
	}
	add(defaults())
	add(r.spec)
	return out
}

// own counts the options of a group that are not the defaults.
func (g *group) own() (n int) {
	for path, value := range g.options {
		if defaults()[path] != value {
			n++
		}
	}
	return n
}

func union(list []*group) map[string]string {
	all := map[string]string{}
	for _, g := range list {
		maps.Copy(all, g.options)
	}
	return all
}

// amount prints bytes, "–" where they are not known.
func amount(n int64) string {
	if n == 0 {
		return none
	}
	return gpu.Bytes(n)
}

// none stands where nothing is known.
const none = "–"
