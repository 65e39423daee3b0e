package recipe

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"steplm/model/advice"
	"steplm/model/optim"
)

// Method is a way to train.
type Method struct {
	Name string
	// Build makes the recipe of a user's options.
	Build func(Options) (Recipe, error)
	// About says in a paragraph what a run by it does, from its recipe.
	About func(Recipe) string
	// What it does where the options do not say: the course of the learning rate, the growth operator, and
	// the optimizer's state of what goes on training. "": optim.Cosine, the mean, StateFresh; and what the
	// course is of. "": the run under optim.WSD, else each stage.
	Schedule, Operator, State, Over string
	// Optimizer is the only one that it knows; "": any.
	Optimizer string
	// What it was published with, where the options do not say: the norm to which the gradient is clipped (0: no
	// clipping), the weight decay, and LoRA's alpha as a multiple of the rank. nil: as all runs have it, 1, 0.1 and 1.
	Clip, Decay, Alpha *float64
	// Uses lists the options that it heeds and that another method may not.
	Uses []advice.Option
	// Less, unless nil, lists changes, of options that it uses or to another method, that may let
	// a run fit into less memory, see Fit.
	Less func(Options) []Change
	// Rows, unless nil, lists the runs of it that a plan shows beside vanilla training.
	Rows func(Options) []Row
}

// Methods lists the methods, each in a file of its own, method_<name>.go.
var Methods = []Method{stepMethod, vanillaMethod, reloraMethod, loraMethod, galoreMethod, stackMethod}

// DefaultSchedule is the course of the learning rate where the options name none.
func (m Method) DefaultSchedule() string { return cmp.Or(m.Schedule, optim.Cosine) }

// About says in a paragraph what a run does.
func (r Recipe) About() string {
	m, err := FindMethod(r.Method)
	if err != nil || m.About == nil {
		return ""
	}
	return m.About(r)
}

// MaxNorm is the norm to which the gradient is clipped where the options do not say; 0: no clipping.
func (m Method) MaxNorm() float64 { return valueOr(m.Clip, 1) }

// WeightDecay is that of all stages where the options do not say.
func (m Method) WeightDecay() float64 { return valueOr(m.Decay, 0.1) }

// DefaultAlpha is LoRA's alpha by a method where the options do not say.
func DefaultAlpha(method string, rank int) float64 {
	m, err := FindMethod(method)
	if err != nil {
		return float64(rank)
	}
	return valueOr(m.Alpha, 1) * float64(rank)
}

func valueOr(x *float64, otherwise float64) float64 {
	if x == nil {
		return otherwise
	}
	return *x
}

// FindMethod finds a method by name.
func FindMethod(name string) (Method, error) {
	i := slices.IndexFunc(Methods, func(m Method) bool { return m.Name == name })
	if i < 0 {
		return Method{}, fmt.Errorf("unknown method %q: choose one of %s", name, strings.Join(MethodNames(), ", "))
	}
	return Methods[i], nil
}

// MethodNames are the methods' names in the list's order.
func MethodNames() (names []string) {
	for _, m := range Methods {
		names = append(names, m.Name)
	}
	return names
}

// Heeds reports whether the method does anything with an option: with those that no method
// names, all do.
func (m Method) Heeds(o advice.Option) bool {
	named := slices.ContainsFunc(Methods, func(m Method) bool { return slices.Contains(m.Uses, o) })
	return slices.Contains(m.Uses, o) || !named
}

// Change is a run that may take less memory, and how it comes about.
type Change struct {
	Way     advice.Way
	Method  string
	Options Options
}

// Change edits a copy of options.
func (o Options) Change(method string, w advice.Way, edit func(*Options)) Change {
	edit(&o)
	return Change{w, method, o}
}

// Row is a run that a plan shows.
type Row struct {
	Name    string
	Method  string
	Options Options
}

// The rows of a plan.
const (
	PlanVanilla = "vanilla"
	PlanStep    = "step"        // with the split that the options ask for
	PlanReal    = "step, real"  // with that of SplitReal, where it is another
	PlanPaper   = "step, paper" // with that of SplitPaper, where it is another
)
