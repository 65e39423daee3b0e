package train

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"strings"

	"steplm/cmd/steplm/internal/measure"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/optim"
	"steplm/stage/outer"
	"steplm/stage/recipe"
	"steplm/stage/session"
)

// describeRun prints a run before it starts, with every choice that the paper
// leaves open.
func describeRun(w io.Writer, s *session.Session) {
	r, dev := s.Recipe, s.Device
	c := r.Model
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "%-10s %s\n", what, fmt.Sprintf(format, args...))
	}
	tied := "untied head"
	if c.Tied {
		tied = "tied head"
	}
	line("model", "%s parameters: %s, hidden %d, FFN %d, %s (%d key-value), vocabulary %d, %s",
		view.Count(c.TotalParams()), view.Plural(int64(c.Layers), "layer", "layers"), c.Hidden, c.FFN,
		view.Plural(int64(c.Heads), "head", "heads"), c.KVHeads, c.Vocab, tied)
	if r.Init != nil {
		line("begins", "%s", describeInit(s))
	}
	for _, source := range describeSources(s) {
		line("data", "%s", source)
	}
	line("tokenizer", "%d ids, %s", s.Tokenizer.VocabSize(), s.AroundDocuments())
	line("run", "%s, %s of %s tokens (%d x %d, %s), seed %d", r.Method, view.Steps(r.Steps()),
		view.Count(r.TokensPerStep()), r.Batch.Batch, r.Batch.SeqLen,
		view.Plural(int64(r.GradAccum), "micro-batch", "micro-batches"), r.Seed)
	line("method", "%s", r.About())
	line("memory", "%s", measure.DescribeStorage(r.Storage, r.Batch, r.Optimizer.TrainableBytes(r.Storage)))
	line("device", "%s", dev.Name())
	layouts, err := r.Layouts()
	if err != nil {
		return // validated before
	}
	for i, x := range r.Stages {
		if i > 0 && alike(x, r.Stages[i-1]) {
			if i == len(r.Stages)-1 || !alike(x, r.Stages[i+1]) {
				line("", "and so on to stage %d, of %s", i+1, view.Steps(x.Steps))
			}
			continue
		}
		trains, frozen := layouts[i].Count()
		bytes := gpu.Plan(dev.Own(), r.Specs(layouts[i])).Total()
		line(fmt.Sprintf("stage %d", i+1),
			"%s, %s: %s trainable, %s frozen, %s on the device; %s, warm-up %s, weight decay %g",
			view.Plural(int64(x.Layers), "layer", "layers"), view.Steps(x.Steps),
			view.Count(trains), view.Count(frozen), gpu.Bytes(bytes), describeCourse(x),
			view.Steps(x.Entry.Warmup()), x.Decay)
		if verbs := describeVerbs(r, x); len(verbs) > 0 {
			line("", "begins with %s", strings.Join(verbs, ", "))
		}
	}
	if len(r.Stages) > 1 && layouts[len(layouts)-1].Blocks[0].Frozen {
		line("", "%s", describeOutside(r))
	}
	if flops, err := r.FLOPs(); err == nil {
		most := ""
		if r.Batch.Mask == model.MaskDocuments {
			most = "at most "
		}
		line("compute", "%s%.3g floating point operations for the whole run", most, flops)
	}
	line("optimizer", "%s, gradient norm clipped to %g; attention %s",
		r.Optimizer.Settings, r.Optimizer.MaxNorm, r.Batch.Documents.Attention())
	if o := r.Outer; o != nil {
		line("rounds", "%s", describeRounds(r, layouts))
	}
	if s.Fitted != nil {
		line("limit", "%s", s.Fitted)
	}
}

// describeRounds says what rounds end with.
func describeRounds(r recipe.Recipe, layouts []model.Layout) string {
	o, most, sent := r.Outer, int64(0), int64(0)
	for _, l := range layouts {
		most, sent = max(most, o.Bytes(l)), max(sent, o.WireBytes(l))
	}
	from := ""
	if o.Start > 0 {
		from = fmt.Sprintf("after step %d, ", o.Start)
	}
	return from + fmt.Sprintf("of %s, then SGD with Nesterov momentum %g at the rate %g; at most %s of the process's "+
		"memory, and a change takes %s (%s)", view.Steps(o.Every), o.Momentum, o.LR, gpu.Bytes(most), gpu.Bytes(sent),
		cmp.Or(o.Wire, outer.WireF32))
}

// describeInit says what a run begins with in place of random weights.
func describeInit(s *session.Session) string {
	r := s.Recipe
	text := fmt.Sprintf("with %s (%s, vocabulary %d, SHA-256 %.12s); the optimizer begins without state",
		s.Spec.Model.Init, view.Plural(int64(r.Init.Layers), "layer", "layers"), r.Init.Vocab, r.Init.Weights)
	if n := r.Model.Vocab - r.Init.Vocab; n > 0 {
		text += fmt.Sprintf("; the rows of %s are the mean of the others",
			view.Plural(int64(n), "new token", "new tokens"))
	}
	return text
}

// alike reports whether a stage only repeats the one before, as after ReLoRA's merges.
func alike(s, before recipe.Stage) bool {
	before.Steps = s.Steps
	return reflect.DeepEqual(s, before)
}

// describeCourse says how the learning rate goes in a stage.
func describeCourse(s recipe.Stage) string {
	lr := fmt.Sprintf("%.3g", s.LR)
	if s.EmbeddingLR > 0 {
		lr += fmt.Sprintf(" (embedding and head %.3g)", s.EmbeddingLR)
	}
	if s.Schedule == nil {
		return lr + ", the schedule goes on"
	}
	c := s.Schedule
	text := fmt.Sprintf("%s to %s over %s", c.Kind, lr, view.Steps(c.Steps))
	switch c.Kind {
	case optim.WSD:
		text += fmt.Sprintf(", of which the last %d decay (%s)", c.Decay, c.Shape)
	case optim.Jagged:
		text += fmt.Sprintf(", warm-up %d, restarts every %d with a warm-up of %d", c.First, c.Every, c.Rewarm)
	}
	return text
}

// describeOutside says which parameters beside new layers and adapters train in stages that froze some, and which
// do not.
func describeOutside(r recipe.Recipe) string {
	var on, off []string
	for _, x := range []struct {
		name   string
		trains bool
	}{{"the embedding", r.TrainEmbedding}, {"the head", r.TrainHead}, {"the norms of frozen layers", r.TrainNorms}} {
		if x.trains {
			on = append(on, x.name)
		} else {
			off = append(off, x.name)
		}
	}
	const beside = "beside new layers and adapters "
	switch {
	case len(off) == 0:
		return beside + listed(on) + " train on"
	case len(on) == 0:
		return beside + "nothing trains on: " + listed(off) + " are frozen"
	}
	return beside + listed(on) + " train on, and frozen is " + listed(off)
}

// listed is a list in prose.
func listed(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}

// describeVerbs says what a stage begins with.
func describeVerbs(r recipe.Recipe, s recipe.Stage) (list []string) {
	for _, v := range s.Entry.Verbs {
		text := v.Do
		switch {
		case v.Do == recipe.Rewarm: // is told as a warm-up
			continue
		case v.Do == recipe.Merge && v.Round != "":
			text = fmt.Sprintf("merge (%s rounding)", v.Round)
		case v.Do == recipe.Grow:
			text = fmt.Sprintf("grow (%s, %s)", v.Operator, v.Position)
		case v.Do == recipe.Wrap:
			text = fmt.Sprintf("wrap (LoRA rank %d, scale %.3g on %s; rate %.3g, decay %.3g)",
				r.LoRA.Rank, r.LoRA.Scale(), strings.Join(r.LoRA.Targets, " "), s.LoRALR, s.LoRADecay)
		case v.Do == recipe.Reset && v.Keep > 0:
			text = fmt.Sprintf("reset (%s, keeping %g by %s)", v.Params, v.Keep, cmp.Or(v.By, optim.ByMagnitude))
		case v.Do == recipe.Reset && v.Params != recipe.AllParams:
			text = fmt.Sprintf("reset (%s)", v.Params)
		}
		list = append(list, text)
	}
	return list
}

// describeProcesses says which processes train together, and how gradients travel between them.
func (c Job) describeProcesses(w io.Writer, s *session.Session) {
	if c.Among == nil {
		return
	}
	m := c.Among
	hosts := map[string]int{}
	for r := range m.Size() {
		hosts[m.Host(r)]++
	}
	fmt.Fprintf(w, "%-10s %s on %s by %s\n", "processes", view.Plural(int64(m.Size()), "process", "processes"),
		view.Plural(int64(len(hosts)), "machine", "machines"), m)
	if c.rounds() {
		fmt.Fprintf(w, "%-10s each trains alone for a round, and sends the others its change at the end\n", "")
		return
	}
	how := "while others are computed"
	if s.Spec.Processes.NoOverlap {
		how = "after the backward pass"
	}
	o, _ := s.Spec.Processes.Options() // They were checked when the session was opened.
	fmt.Fprintf(w, "%-10s gradients travel as %s, %s\n", "", o.Wire, how)
}
