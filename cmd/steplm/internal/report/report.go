package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"steplm/cmd/steplm/internal/curves"
	"steplm/stage/compare"
	"steplm/stage/experiment"
	"steplm/stage/harness"
	"steplm/stage/mtbench"
	"steplm/stage/record"
	"steplm/stage/results"
)

// Report is what there is to say of runs.
type Report struct {
	runs     []*run
	settings []*setting
	groups   []*group
	problems []string // of folders in which no run was found
	dirs     []string
	against  string
	live     bool
}

// Reader reads runs again and again, those alone whose files have changed.
type Reader struct {
	Dirs []string
	Live bool // the report is served, and asks for what is new
	// Against is the method that others are compared with, by its name in the table or words of it; "": vanilla.
	Against string
	seen    map[string]seenRun
}

type seenRun struct {
	stamp string
	run   *run
}

// Read makes the report. It is an error if there is no run at all, unless it is live: then there may be one later.
// Whatever else is wrong the report says.
func (r *Reader) Read() (*Report, error) {
	found, problems := find(r.Dirs)
	if len(found) == 0 && !r.Live {
		return nil, fmt.Errorf("there is no run to report: %s", strings.Join(problems, "; "))
	}
	var paths []string
	for _, f := range found {
		paths = append(paths, f.dir)
	}
	names, err := curves.Names(paths)
	if err != nil {
		return nil, err
	}
	report := &Report{problems: problems, dirs: r.Dirs, against: r.Against, live: r.Live}
	seen := map[string]seenRun{}
	for i, f := range found {
		stamp := stampOf(f, names[i])
		known, ok := r.seen[f.dir]
		if !ok || known.stamp != stamp {
			known = seenRun{stamp, readRun(f, names[i])}
		}
		seen[f.dir] = known
		report.runs = append(report.runs, known.run)
	}
	r.seen = seen
	report.settings, report.groups = settings(report.runs, r.Against)
	if err := report.compared(); err != nil {
		if !r.Live {
			return nil, err
		}
		report.problems = append(report.problems, err.Error())
	}
	return report, nil
}

// Stamp changes when a run does, or comes or goes.
func (r *Reader) Stamp() string {
	found, problems := find(r.Dirs)
	var b strings.Builder
	for _, f := range found {
		b.WriteString(stampOf(f, ""))
	}
	return b.String() + strings.Join(problems, "\n")
}

// stampOf tells two states of a run's folder apart.
func stampOf(f found, name string) string {
	text := fmt.Sprintf("%s %s", f.dir, name)
	if f.row != nil {
		text += fmt.Sprint(*f.row)
	}
	for _, file := range []string{record.File, record.RecipeFile, record.SpecFile, record.SystemsFile,
		harness.ScoresFile, mtbench.ScoresFile, filepath.Join(experiment.BeforeDir, harness.ScoresFile),
		experiment.AnswersDir, filepath.Join(experiment.BeforeDir, experiment.AnswersDir)} {
		if info, err := os.Stat(filepath.Join(f.dir, file)); err == nil {
			text += fmt.Sprintf(" %s %d %d", file, info.Size(), info.ModTime().UnixNano())
		}
	}
	return text + "\n"
}

// rows are those of the table of results.
func (r *Report) rows() (list []results.Row) {
	for _, run := range r.runs {
		list = append(list, run.Row)
	}
	return list
}

// states counts runs by their status, as a sentence.
func (r *Report) states() string {
	n := map[results.Status]int{}
	for _, run := range r.runs {
		n[run.Status]++
	}
	var words []string
	for _, s := range slices.Sorted(maps.Keys(n)) {
		words = append(words, fmt.Sprintf("%d %s", n[s], s))
	}
	return strings.Join(words, ", ")
}

// runsTable lists all runs, with what is wrong.
func (r *Report) runsTable() (t table) {
	for _, name := range []string{"run", "method", "seed", "rate", "steps", "final loss", "validation", "status",
		"device", "program"} {
		t.Head = append(t.Head, cell{Text: name})
	}
	for _, run := range r.runs {
		state := cell{Text: string(run.Status), Tip: strings.Join(run.problems, "\n")}
		if len(run.problems) > 0 {
			state.Text += ": " + run.problems[0]
		}
		if len(run.problems) > 0 || run.Status != results.Done && run.Status != results.Selection {
			state.Mark = "worse"
		}
		method, seed := none, none
		if run.Method != "" {
			method, seed = label(run), fmt.Sprint(run.Seed)
		}
		loss := none
		if n := len(run.curve.Curve.Loss); n > 0 {
			loss = fmt.Sprintf("%.3f", run.TrainLoss)
		}
		var devices, programs []string
		for _, s := range run.system {
			devices = append(devices, s.Device)
			programs = append(programs, strings.TrimSpace(s.Program+" "+s.Go+" "+s.Target))
		}
		t.Rows = append(t.Rows, []cell{{Text: run.Run, Tip: run.dir}, {Text: method}, {Text: seed},
			{Text: lrText(run.LR)}, {Text: run.stepsText()}, {Text: loss},
			{Text: perplexityText(run.ValidationPerplexity)}, state, {Text: unlike(devices)}, {Text: unlike(programs)}})
	}
	return t
}

func (r *run) stepsText() string {
	done := 0
	if n := len(r.curve.Curve.Steps); n > 0 {
		done = r.curve.Curve.Steps[n-1]
	}
	if r.recipe == nil {
		return fmt.Sprint(done)
	}
	if all := r.recipe.Steps(); done < all {
		return fmt.Sprintf("%d of %d", done, all)
	}
	return fmt.Sprint(done)
}

// unlike are the texts of a list, each once.
func unlike(list []string) string {
	var out []string
	for _, s := range list {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return none
	}
	return strings.Join(out, ", then ")
}

// data lists what the runs read, by their files' names: where they lie is the concern of whoever has them.
func (r *Report) data() (t table) {
	t.Head = []cell{{Text: "training data"}, {Text: "validation"}, {Text: "WikiText"}, {Text: "tokenizer"},
		{Text: "hashes of both", Tip: "of the shards' names, sizes, rows and filters, and of the tokenizer's content"},
		{Text: "runs"}}
	count := map[string]int{}
	rows := map[string][]cell{}
	var keys []string
	for _, run := range r.runs {
		if run.recipe == nil {
			continue
		}
		row := []cell{{Text: files(run.spec["data.train"])}, {Text: files(run.spec["evaluation.validation"])},
			{Text: files(run.spec["evaluation.wikitext"])}, {Text: files(run.spec["data.tokenizer"])},
			{Text: fmt.Sprintf("%.8s, %.8s", run.recipe.Data.Train, run.recipe.Data.Tokenizer)}}
		key := fmt.Sprint(row)
		if count[key]++; count[key] == 1 {
			keys, rows[key] = append(keys, key), row
		}
	}
	for _, key := range keys {
		t.Rows = append(t.Rows, append(rows[key], cell{Text: fmt.Sprint(count[key])}))
	}
	return t
}

// files are the names at the ends of the paths in a JSON value, one or a list.
func files(value string) string {
	var list []string
	if json.Unmarshal([]byte(value), &list) != nil {
		var one string
		if json.Unmarshal([]byte(value), &one) != nil || one == "" {
			return none
		}
		list = []string{one}
	}
	for i, path := range list {
		list[i] = filepath.Base(filepath.FromSlash(path))
	}
	return strings.Join(list, ", ")
}

// commands are what repeats each experiment, each run that is no experiment's, and the report.
func (r *Report) commands(out string) (list []string) {
	repeated := map[string]bool{} // experiments, by their folders
	for _, run := range r.runs {
		dir := run.experimentDir()
		declared := filepath.Join(dir, experiment.DeclaredFile)
		switch {
		case run.Experiment != "" && exists(declared):
			if !repeated[dir] {
				repeated[dir] = true
				list = append(list, fmt.Sprintf("steplm experiment %s --out %s", quoted(declared),
					quoted(dir+"-again")))
			}
		case run.spec != nil:
			list = append(list, fmt.Sprintf("steplm pretrain --config %s --out %s", quoted(filepath.Join(run.dir,
				record.SpecFile)), quoted(run.dir+"-again")))
		}
	}
	words := []string{"steplm report"}
	for _, dir := range r.dirs {
		words = append(words, quoted(dir))
	}
	if r.against != "" {
		words = append(words, "--against", quoted(r.against))
	}
	return append(list, strings.Join(append(words, "--out", quoted(out)), " "))
}

// quoted is a word as a POSIX shell takes it.
func quoted(word string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.ContainsRune("-_./=:,+@%", c)
	}
	if word != "" && strings.IndexFunc(word, func(c rune) bool { return !plain(c) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// notes say how the numbers came about.
func (r *Report) notes() []string {
	return []string{
		"Intervals of differences: " + compare.Formula + ".",
		"A difference is set off where its interval leaves 0 out. With many methods some will by chance.",
		fmt.Sprintf(
			"A run's final loss is the mean of the last %d %% of its steps. A loss was reached after the first step "+
				"at which the mean of as many steps before it was at most that; %s's final loss is rounded up to "+
				"a hundredth of a nat.",
			100/curves.FinalShare, baseWord(r.against),
		),
		"Bytes are those of the device by the program's ledger. The paper's formula counts states of the blocks " +
			"alone, 16 bytes for a parameter that trains and 2 for a frozen one.",
		"FLOPs count a multiply-add as 2; what recomputation adds is left out. Hours are of work: what lies between " +
			"two processes of a run, and what a killed one did after its last save, is left out.",
		"Scores of tasks are of a run's final model, by lm-evaluation-harness's rules, with their standard " +
			"errors over " +
			"documents; those that are two of them above chance are set off.",
		"A method's scores of tasks are means over seeds. Seeds are asked the same documents, so that errors over " +
			"documents are not less for several; those of models before were scored by the same positions.",
		"Runs that are not done are drawn as far as they came, and are in no mean.",
	}
}

// protocolText says how the perplexities were measured, and where that differs.
func (s *setting) protocolText() string {
	if len(s.protocols) == 0 {
		return "Nothing was measured at the end of these runs."
	}
	bySet := map[string]int{}
	for _, p := range s.protocols {
		set, _, _ := strings.Cut(p, ":")
		bySet[set]++
	}
	text := "Measured at the end: " + strings.Join(s.protocols, "; ") + "."
	for _, set := range slices.Sorted(maps.Keys(bySet)) {
		if bySet[set] > 1 {
			text += fmt.Sprintf(" Not all runs measured %s alike: their perplexities cannot be compared.", set)
		}
	}
	return text
}
