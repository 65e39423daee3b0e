package train

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"steplm/cmd/steplm/internal/speak"
	"steplm/cmd/steplm/internal/view"
	"steplm/gpu"
	"steplm/model"
	"steplm/stage/eval"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// ending is what a summary needs besides a run's folder.
type ending struct {
	res      *result // of this process
	dev      gpu.Device
	out      string        // the run's folder
	took     time.Duration // of this process
	unigram  float64       // perplexity of the held-out text by token frequencies; 0: not measured
	device   string        // as the user chose it; "": by default
	samples  []speak.Sample
	tuned    bool   // on examples
	material string // where corpus and tokenizer are kept that the program made; "": it made none
}

// told is what a run's metrics say of it, whichever processes ran it.
type told struct {
	first, last []record.Metrics // of each stage; zero where there is none
	tokens      []float64        // of each stage's steps, no padding
	seconds     []float64        // spent in them
	growths     []record.Growth
	sets        []string // in the order of their first evaluation
	// Perplexity at the end of a stage, and right after the growth into it.
	atEnd, grown map[measured]float64
}

// measured is a set in a stage, counted from 1.
type measured struct {
	set   string
	stage int
}

// readTold reads a run's metrics.
func readTold(dir string, r recipe.Recipe) (*told, error) {
	n, seen := len(r.Stages), int64(0)
	t := &told{first: make([]record.Metrics, n), last: make([]record.Metrics, n),
		tokens: make([]float64, n), seconds: make([]float64, n),
		atEnd: map[measured]float64{}, grown: map[measured]float64{}}
	for e, err := range record.Read(dir) {
		if err != nil {
			return nil, err
		}
		switch e := e.(type) {
		case record.Metrics:
			i := e.Stage - 1
			if i < 0 || i >= n {
				return nil, fmt.Errorf("%s: step %d is of stage %d, the run has %d", dir, e.Step, e.Stage, n)
			}
			if t.first[i].Step == 0 {
				t.first[i] = e
			}
			tokens := float64(e.Tokens - seen)
			seen = e.Tokens
			t.last[i] = e
			t.tokens[i] += tokens
			t.seconds[i] += tokens / e.TokensPerSecond
		case record.Growth:
			t.growths = append(t.growths, e)
		case record.Evaluation:
			var found eval.Result
			if err := e.Result.Into(&found); err != nil {
				return nil, err
			}
			if !slices.Contains(t.sets, e.Set) {
				t.sets = append(t.sets, e.Set)
			}
			switch at := (measured{e.Set, e.Stage}); e.When {
			case "before growth", "before transition", "end":
				t.atEnd[at] = found.Perplexity()
			case "after growth":
				t.grown[at] = found.Perplexity()
			}
		}
	}
	return t, nil
}

// frozen says what became of the old layers' linears as a stage, from 1, began.
func frozen(r recipe.Recipe, stage int) string {
	does := func(do string) bool {
		return slices.ContainsFunc(r.Stages[stage-1].Entry.Verbs, func(v recipe.Verb) bool { return v.Do == do })
	}
	switch {
	case !does(recipe.Freeze):
		return ", which train on"
	case !does(recipe.Wrap):
		return ", whose linears froze"
	}
	return fmt.Sprintf(", whose linears froze under LoRA of rank %d", r.LoRA.Rank)
}

// summarize tells what a run showed, where it left what, and what to do next: the end of pretrain and of demo.
func summarize(w io.Writer, x ending) error {
	r := x.res.recipe
	t, err := readTold(x.out, r)
	if err != nil {
		return err
	}
	layouts, err := r.Layouts()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nWhat happened\n\n")
	view.Table(w, 1, t.stages(r, layouts, x.unigram))
	for _, g := range t.growths {
		fmt.Fprintf(w, "\nAfter step %d layers %s were put between the %d old ones%s", g.Step, places(g.New), g.From,
			frozen(r, g.Stage))
		for _, set := range t.sets {
			before, known := t.atEnd[measured{set, g.Stage - 1}]
			if after, too := t.grown[measured{set, g.Stage}]; known && too {
				fmt.Fprintf(w, ";\n%s perplexity %.2f before and %.2f right after growth", set, before, after)
			}
		}
		fmt.Fprintln(w, ".")
	}
	writeSpeed(w, x.res)
	writeClasses(w, r, t, x.dev)
	if err := writeMemory(w, x.res, x.dev); err != nil {
		return err
	}
	if len(x.samples) > 0 {
		fmt.Fprintf(w, "\nWhat it says\n\n")
		for _, s := range x.samples {
			fmt.Fprintf(w, "  %s\n", s)
		}
	}
	fmt.Fprintf(w, "\n%s tokens in %s\n", view.Count(t.last[len(t.last)-1].Tokens), view.Duration(x.took))
	return writeFiles(w, x)
}

// stages is the table of stages, with the perplexity of each set at a stage's end.
func (t *told) stages(r recipe.Recipe, layouts []model.Layout, unigram float64) [][]string {
	head := []string{"", "layers", "steps", "trained", "frozen", "loss"}
	for _, set := range t.sets {
		head = append(head, set+" perplexity")
	}
	rows := [][]string{append(head, "tokens/s", "time")}
	if unigram > 0 {
		rows = append(rows, []string{"unigram", "", "", "", "", "", fmt.Sprintf("%.1f", unigram)})
	}
	for i, s := range r.Stages {
		trains, frozen := layouts[i].Count()
		row := []string{fmt.Sprintf("stage %d", i+1), fmt.Sprint(s.Layers), view.Count(int64(s.Steps)),
			view.Count(trains), view.Count(frozen), fmt.Sprintf("%.3f -> %.3f", t.first[i].Loss, t.last[i].Loss)}
		for _, set := range t.sets {
			text := "-"
			if p, ok := t.atEnd[measured{set, i + 1}]; ok {
				text = fmt.Sprintf("%.2f", p)
			}
			row = append(row, text)
		}
		rate := t.tokens[i] / t.seconds[i]
		rows = append(rows, append(row, fmt.Sprintf("%.0f", rate),
			view.Duration(time.Duration(t.seconds[i]*float64(time.Second)))))
	}
	return rows
}

// writeClasses prints the bytes of each stage by class beside those of training all at once.
func writeClasses(w io.Writer, r recipe.Recipe, t *told, dev gpu.Device) {
	rows := [][]string{{""}}
	for _, class := range gpu.Classes() {
		rows[0] = append(rows[0], class.String())
	}
	rows[0] = append(rows[0], "all", "of vanilla")
	vanilla := model.Plain(r.Model, r.Model.Layers)
	vanilla.Storage = r.Storage
	whole := gpu.Plan(dev.Own(), r.Specs(vanilla))
	row := func(name string, bytes func(gpu.Class) int64, all int64) {
		cells := []string{name}
		for _, class := range gpu.Classes() {
			cells = append(cells, gpu.Bytes(bytes(class)))
		}
		rows = append(rows, append(cells, gpu.Bytes(all),
			fmt.Sprintf("%.0f %%", 100*float64(all)/float64(whole.Total()))))
	}
	for i, m := range t.last {
		row(fmt.Sprintf("stage %d", i+1), func(c gpu.Class) int64 { return m.Bytes[c.String()] }, total(m.Bytes))
	}
	row("vanilla", whole.Live, whole.Total())
	fmt.Fprintf(w, "\nMemory on the device, by class\n\n")
	view.Table(w, 1, rows)
}

// writeFiles says what is where, and what could be done next.
func writeFiles(w io.Writer, x ending) error {
	final := filepath.Join(x.out, record.FinalDir)
	size, err := folderBytes(final)
	if err != nil {
		return err
	}
	rows := [][]string{
		{final, fmt.Sprintf("the trained model as Hugging Face lays it out, %s", gpu.Bytes(size))},
		{filepath.Join(x.out, record.File), "losses, evaluations and saves, a line each"},
	}
	if names := record.CheckpointNames(x.out); len(names) > 0 {
		folder := filepath.Dir(record.CheckpointAt(x.out, names[0]))
		if size, err = folderBytes(folder); err != nil {
			return err
		}
		rows = append(rows, []string{folder, fmt.Sprintf("%s, %s", strings.Join(names, ", "), gpu.Bytes(size))})
	}
	if x.material != "" {
		rows = append(rows, []string{x.material, "the corpus and the tokenizer"})
	}
	fmt.Fprintf(w, "\nFiles\n\n")
	view.Table(w, 2, rows)
	device := ""
	if x.device != "" {
		device = " --device " + shellWord(x.device)
	}
	if x.tuned {
		fmt.Fprintf(w, "\nNext\n\n  steplm plot %s --svg %s\n  steplm chat --model %s%s\n", shellWord(x.out),
			shellWord(filepath.Join(x.out, "loss.svg")), shellWord(x.out), device)
		return nil
	}
	fmt.Fprintf(w, "\nNext\n\n  steplm plot %s --svg %s\n  steplm score --model %s --text \"Once upon a time\"%s\n"+
		"  steplm generate --model %s --prompt \"Once upon a time\"%s\n",
		shellWord(x.out), shellWord(filepath.Join(x.out, "loss.svg")), shellWord(x.out), device,
		shellWord(x.out), device)
	return nil
}

// folderBytes adds up the files of a folder.
func folderBytes(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}

// shellWord is a word as a shell takes it.
func shellWord(s string) string {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	plain := func(r rune) bool {
		return strings.ContainsRune(letters+"0123456789-_./:@+", unicode.ToLower(r)) || r == filepath.Separator
	}
	if s != "" && strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
