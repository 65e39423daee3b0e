package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/stage/experiment"
	"steplm/stage/record"
	"steplm/stage/results"
)

// row is a row of a Markdown table by what its first cell holds, as cells.
func row(t *testing.T, markdown, first string) []string {
	t.Helper()
	for _, line := range strings.Split(markdown, "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if strings.HasPrefix(line, "|") && cells[0] == first {
			return cells
		}
	}
	t.Fatalf("no row begins with %q in\n%s", first, markdown)
	return nil
}

// Another method than vanilla may be what the others are compared with: by its name or by words that it alone has.
func TestAgainst(t *testing.T) {
	dir := madeRuns(t)
	for _, name := range []string{"step K=2", "STEP"} {
		r, err := (&Reader{Dirs: []string{dir}, Against: name}).Read()
		if err != nil {
			t.Fatal(err)
		}
		_, markdown, _ := writtenOf(t, r)
		head := row(t, markdown, "method")
		for method, want := range map[string]string{"vanilla": "+4.92 \\[−2.01, +11.8\\]", "step K=2": "–"} {
			if got := row(t, markdown, method)[slices.Index(head, "Δ baseline")]; got != want {
				t.Errorf("%s, %s: %q, want %q", name, method, got, want)
			}
		}
		if got := row(t, markdown, "vanilla")[slices.Index(head, "less than the baseline")]; got != "−100.0 %" {
			t.Errorf("%s: vanilla takes %q less", name, got)
		}
		for _, want := range []string{"Compared with step K=2, rate 0.01, whose final loss is 3.60",
			"until the training loss is the baseline's final one", "--against"} {
			if !strings.Contains(markdown, want) {
				t.Errorf("%s: no %q in\n%s", name, want, markdown)
			}
		}
	}
	for name, parts := range map[string][]string{
		"galore":  {`"galore"`, "vanilla; vanilla × scale", "step K=2"},
		"vanill":  {`"vanill"`, "more than one", "vanilla; vanilla × scale"},
		"scale-x": {`"scale-x"`},
	} {
		_, err := (&Reader{Dirs: []string{dir}, Against: name}).Read()
		for _, part := range parts {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v does not hold %q", name, err, part)
			}
		}
	}
	live, err := (&Reader{Dirs: []string{dir}, Against: "galore", Live: true}).Read()
	if err != nil || !strings.Contains(strings.Join(live.problems, "\n"), `"galore"`) {
		t.Errorf("live: %v, %q", err, live.problems)
	}
}

// The table has the numbers that the runs were made with: means, spreads and differences over seeds as SciPy has them,
// bytes as they were measured and as the plan has them, and what it took to get to vanilla's loss.
func TestTableOfMethods(t *testing.T) {
	dir := madeRuns(t)
	_, markdown, _ := written(t, dir)
	head := row(t, markdown, "method")
	cellOf := func(method, column string) string {
		t.Helper()
		at := slices.Index(head, column)
		if at < 0 {
			t.Fatalf("no column %q among %q", column, head)
		}
		return row(t, markdown, method)[at]
	}
	vanilla := made{method: "vanilla", lr: 0.01, seed: 1}.recipe(t)
	layouts, err := vanilla.Layouts()
	if err != nil {
		t.Fatal(err)
	}
	planned := gpu.Bytes(ownBytes + gpu.Plan(vanilla.Specs(layouts[0])).Total())
	for _, c := range []struct{ method, column, want string }{
		{"vanilla", "seeds", "4"}, {"vanilla", "rate", "0.01"}, {"vanilla", "tokens", "640"},
		{"vanilla", "validation perplexity", "306.99 ± 4.32"}, {"vanilla", "Δ vanilla", "–"},
		{"vanilla", "WikiText perplexity", "3069.88 ± 43.2"},
		{"vanilla", "peak, measured", "3.0 GiB"}, {"vanilla", "peak, planned", planned},
		{"vanilla", "less than vanilla", "0.0 %"}, {"vanilla", "tokens/s", "8.00"},
		{"step K=2", "seeds", "3"}, {"step K=2", "validation perplexity", "303.98 ± 4.36"},
		{"step K=2", "Δ vanilla", "−4.92 \\[−11.8, +2.01\\]"}, {"step K=2", "peak, measured", "1.5 GiB"},
		{"step K=2", "less than vanilla", "50.0 %"},
		{"vanilla × scale", "validation perplexity", "408.60 ± 3.39"},
		{"vanilla × scale", "Δ vanilla", "**+100 \\[+100, +100\\]**"},
		{"vanilla × scale", "tokens to vanilla's loss", "not reached"},
	} {
		if got := cellOf(c.method, c.column); got != c.want {
			t.Errorf("%s, %s: %q, want %q", c.method, c.column, got, c.want)
		}
	}
	// Vanilla's final loss is the mean of its last 4 steps, 4.075; STEP's mean of 4 steps is at most 4.08 when its last
	// one is at 3.99 or less: after 33 steps.
	if got := cellOf("step K=2", "tokens to vanilla's loss"); got != fmt.Sprint(33*stepTokens) {
		t.Errorf("STEP needs %s tokens to get to vanilla's loss, want %d", got, 33*stepTokens)
	}
	if got := cellOf("vanilla", "tokens to vanilla's loss"); got != fmt.Sprint(steps*stepTokens) {
		t.Errorf("vanilla needs %s tokens to get to its own final loss", got)
	}
	if !strings.Contains(markdown, "final loss is 4.08") {
		t.Errorf("no final loss in\n%s", markdown)
	}
	grid := row(t, markdown[strings.Index(markdown, "### Learning rates"):], "vanilla")
	if want := []string{"vanilla", "**306.99 (4 seeds)**", "500.00"}; !slices.Equal(grid[:3], want) {
		t.Errorf("learning rates: %q, want %q", grid, want)
	}
}

// What is less at equal states and by the paper's formula follows from the recipe alone.
func TestPlannedBytes(t *testing.T) {
	vanilla, err := plannedBytes(made{method: "vanilla", lr: 0.01}.recipe(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	if vanilla.peak != vanilla.vanillaPeak || vanilla.states != vanilla.vanillaStates ||
		vanilla.paper != vanilla.paperVanilla || vanilla.states >= vanilla.peak {
		t.Errorf("vanilla: %+v", vanilla)
	}
	step, err := plannedBytes(made{method: "step", stages: 2, lr: 0.01}.recipe(t), 1000)
	if err != nil {
		t.Fatal(err)
	}
	// Of the formula: n new layers at 16 bytes a parameter, and below them old ones at 2 with adapters at 16.
	r := made{method: "step", stages: 2, lr: 0.01}.recipe(t)
	e, err := r.Model.LoRAParams(r.LoRA.Rank, r.LoRA.Targets)
	if err != nil {
		t.Fatal(err)
	}
	p, split := r.Model.BlockParams(), r.LayersAdded()
	want := max(16*int64(split[0])*p, 16*int64(split[1])*p+int64(split[0])*(2*p+16*e))
	if step.paper != want || step.paperVanilla != 16*6*p || step.vanillaStates != vanilla.states ||
		step.vanillaPeak != vanilla.peak+1000 || step.states >= step.vanillaStates {
		t.Errorf("STEP: %+v, want %d by the formula", step, want)
	}
	for _, method := range []string{"relora", "lora"} {
		if other, err := plannedBytes(made{method: method, lr: 0.01}.recipe(t), 0); err != nil || other.paper != 0 ||
			other.peak == 0 {
			t.Errorf("%s: %+v, %v: the paper has no formula for it", method, other, err)
		}
	}
}

// Runs that are missing, unfinished, diverged, damaged or another version's are named, each with what is wrong, in the
// page and in the Markdown; they are in no mean.
func TestRunsWithProblems(t *testing.T) {
	dir := madeRuns(t)
	made{
		name:       "stopped",
		method:     "vanilla",
		seed:       5,
		lr:         0.01,
		end:        1,
		perplexity: 1,
		peak:       3 * gib,
		stop:       7,
	}.write(
		t,
		dir,
	)
	made{name: "blown", method: "vanilla", seed: 6, lr: 0.01, end: 1, perplexity: 1, peak: 3 * gib, stop: 9,
		failure: "step 10: the loss is NaN"}.write(t, dir)
	change := func(name, file string, edit func(string) string) {
		t.Helper()
		path := filepath.Join(made{name: name, method: "vanilla", seed: 7, lr: 0.01, end: 1, perplexity: 1,
			peak: 3 * gib}.write(t, dir), file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(edit(string(text))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	change(
		"newer",
		record.RecipeFile,
		func(s string) string { return strings.Replace(s, `"format": 3`, `"format": 99`, 1) },
	)
	change("torn", record.File, func(s string) string { return s[:len(s)/2] + "\n" })
	change("unread", record.RecipeFile, func(string) string { return "[" })
	change("party", record.File, func(s string) string { return s + `{"event":"party","step":1}` + "\n" })
	change("specless", record.SpecFile, func(string) string { return "nothing" })
	empty := t.TempDir()
	file := filepath.Join(empty, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	html, markdown, csv := written(t, dir, empty, filepath.Join(empty, "gone"), file)
	for run, want := range map[string]string{
		"stopped": "**unfinished: 7 of 40 steps are done**", "blown": "**diverged: step 10: the loss is NaN**",
		"newer": "**version: ", "torn": "**damaged: ", "unread": "**damaged: ", "party": "**version: ",
		"specless": "**done: ",
	} {
		got := row(t, markdown, run)
		if state := got[slices.Index(row(t, markdown, "run"), "status")]; !strings.HasPrefix(state, want) {
			t.Errorf("%s: its status is %q, want %q", run, state, want)
		}
		if !strings.Contains(html, ">"+run+"<") {
			t.Errorf("the page does not name %s", run)
		}
	}
	for _, want := range []string{empty + " holds no run", "gone: no such file", "file is no folder"} {
		if !strings.Contains(strings.ReplaceAll(markdown, `\`, ""), want) || !strings.Contains(html, want) {
			t.Errorf("%q is not said", want)
		}
	}
	if got := row(t, markdown, "vanilla"); got[2] != "**5 of 9**" || !strings.HasPrefix(got[4], "245.79") {
		// The runs of seed 7 that are done count, once for the seed: (306.99 * 4 + 1) / 5.
		t.Errorf("vanilla's row is %q", got)
	}
	if rows, err := results.ReadCSV(strings.NewReader(csv)); err != nil || len(rows) != 17 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

// An experiment's folder gives its name and which runs only served to choose a rate; those are in no table of methods.
func TestExperimentsFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "experiments", "first")
	runs := filepath.Join(dir, "runs")
	var rows []results.Row
	for i, lr := range []float64{0.001, 0.01, 0.1} {
		m := made{
			name:       fmt.Sprintf("run-%d", i),
			method:     "vanilla",
			seed:       1,
			lr:         lr,
			end:        4,
			perplexity: 100 + float64(i),
			peak:       gib,
		}
		row := results.Of(m.write(t, runs))
		row.Experiment = "an-experiment"
		if lr != 0.01 {
			row.Status = results.Selection
		}
		rows = append(rows, row)
	}
	rows = append(
		rows,
		results.Row{Experiment: "an-experiment", Run: "run-3", Method: "vanilla", Seed: 7, Status: results.Missing,
			TrainLoss:            math.NaN(),
			ValidationPerplexity: math.NaN(), WikitextWordPerplexity: math.NaN(), TokensPerSecond: math.NaN()},
	)
	f, err := os.Create(filepath.Join(dir, experiment.ResultsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := results.WriteCSV(f, rows, false); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.WriteFile(filepath.Join(dir, experiment.DeclaredFile), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	// Another experiment had the folder before, and trained this.
	other := made{name: "another's", method: "vanilla", seed: 2, lr: 0.01, end: 4, perplexity: 1, peak: gib}.
		write(t, runs)
	_, markdown, csv := written(t, dir)
	if !strings.Contains(markdown, "- left out: 1 run in "+runs+" without a row") || strings.Contains(markdown, other) {
		t.Errorf("a run that is in no row of the table:\n%s", markdown)
	}
	if again := "    steplm experiment " + filepath.Join(dir, experiment.DeclaredFile) + " --out " + dir +
		"-again\n"; !strings.Contains(markdown, again) || strings.Contains(markdown, "steplm pretrain") {
		t.Errorf("the command that repeats it is not, alone, %q", again)
	}
	if !strings.Contains(markdown, "## an-experiment · ") {
		t.Errorf("the experiment has no name in\n%s", markdown)
	}
	if got := row(t, markdown, "vanilla"); got[1] != "0.01" || got[2] != "1" {
		t.Errorf("the row of vanilla is %q", got)
	}
	grid := row(t, markdown[strings.Index(markdown, "### Learning rates"):], "vanilla")
	if want := []string{"vanilla", "100.00", "**101.00**", "102.00"}; !slices.Equal(grid[:4], want) {
		t.Errorf("learning rates: %q, want %q", grid, want)
	}
	if got := row(t, markdown, "run-3"); !strings.HasPrefix(got[7], "**missing: it has not begun") || got[2] != "7" {
		t.Errorf("a run that the table has and that is not there: %q", got)
	}
	if got, err := results.ReadCSV(strings.NewReader(csv)); err != nil || len(got) != 4 ||
		got[0].Experiment != "an-experiment" || got[0].Status != results.Selection {
		t.Errorf("%v, %v", got, err)
	}
	// A folder above it knows as much, and a run of it that is given alone is of it, and alone.
	above := &Reader{Dirs: []string{filepath.Dir(dir)}}
	if r, err := above.Read(); err != nil || r.Count() != 4 || r.runs[3].Experiment != "an-experiment" {
		t.Errorf("from above: %v, %v", r, err)
	}
	named := &Reader{Dirs: []string{dir, other}}
	if r, err := named.Read(); err != nil || r.Count() != 5 || len(r.problems) != 0 {
		t.Errorf("with a run that is named besides: %v, %v", r, err)
	}
	alone := &Reader{Dirs: []string{filepath.Join(runs, "run-0")}}
	if r, err := alone.Read(); err != nil || r.Count() != 1 || r.runs[0].Status != results.Selection {
		t.Errorf("one run alone: %v, %v", r, err)
	}
	// Its own folder is no place for the report: the tables would take each other's place.
	r, err := (&Reader{Dirs: []string{dir}}).Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{dir, filepath.Join(runs, "run-1")} {
		if err := r.Write(out); err == nil || !strings.Contains(err.Error(), out) {
			t.Errorf("%s: error %v", out, err)
		}
	}
}

// Learning rates of stages are told apart by all of them: the first stage's may be the same.
func TestRatesOfStages(t *testing.T) {
	dir := t.TempDir()
	for i, rates := range [][]float64{{0.003, 0.001}, {0.01, 0.001}, {0.003, 0.0003}} {
		made{name: fmt.Sprint("run-", i), method: "step", stages: 2, seed: 1, rates: rates, end: 4,
			perplexity: 100 + float64(i), peak: gib}.write(t, dir)
	}
	_, markdown, _ := written(t, dir)
	grid := markdown[strings.Index(markdown, "### Learning rates"):]
	want := []string{"0.003, 0.0003", "0.003, 0.001", "0.01, 0.001"}
	if head := row(t, grid, "method"); !slices.Equal(head[1:4], want) {
		t.Errorf("columns are %q, want %q", head, want)
	}
	if got := row(t, grid, "step K=2"); !slices.Equal(got[1:4], []string{"102.00", "**100.00**", "101.00"}) {
		t.Errorf("perplexities are %q", got)
	}
}

// A family is called in the table of rates as in that of methods, though of the runs that chose a rate no others have
// its name.
func TestRatesAreOfTheMethodsInTheTable(t *testing.T) {
	of := func(label string, shown bool, lr float64, status results.Status, perplexity float64) *group {
		r := results.Nothing()
		r.LR, r.Status, r.ValidationPerplexity = []float64{lr}, status, perplexity
		return &group{label: label, family: "f", lr: lrText(r.LR), shown: shown, runs: []*run{{Row: r}}}
	}
	s := &setting{groups: []*group{of("vanilla", false, 0.1, results.Selection, 9),
		of("vanilla · embedding lr 16", true, 0.01, results.Done, 8)}}
	grid, ok := s.grid()
	if !ok || grid.Rows[0][0].Text != "vanilla · embedding lr 16" || grid.Rows[0][1].Mark != "best" {
		t.Errorf("%+v", grid)
	}
}

// A run without a folder is what its experiment's table says: it may have failed before its first step.
func TestRunsWithoutAFolder(t *testing.T) {
	dir := t.TempDir()
	there := made{name: "there", method: "vanilla", seed: 1, lr: 0.01, end: 4, perplexity: 100, peak: gib}
	rows := []results.Row{results.Of(there.write(t, filepath.Join(dir, experiment.RunsDir)))}
	state := experiment.State{Failures: map[string]experiment.Failure{"fails": {Status: results.Failed,
		Error: "there is no memory left"}}}
	if err := experiment.WriteState(dir, state); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"fails": "failed: there is no memory left", "yet": "missing: it has not begun",
		"diverges": "diverged: it left no folder, and its experiment does not say why",
		"gone":     "missing: its folder is gone; it was selection"}
	for name, status := range map[string]results.Status{"fails": results.Failed, "diverges": results.Diverged,
		"gone": results.Selection, "yet": results.Unfinished} {
		row := results.Nothing()
		row.Run, row.Method, row.Status = name, "vanilla", status
		rows = append(rows, row)
	}
	var table bytes.Buffer
	if err := results.WriteCSV(&table, rows, false); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, experiment.ResultsFile), table.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	_, markdown, _ := written(t, dir)
	for name, says := range want {
		if got := row(t, markdown, name); !strings.HasPrefix(got[7], "**"+says) {
			t.Errorf("%s: %q, want %q", name, got, says)
		}
	}
}

// Where each method has the layers that fit the same bytes, models of unlike numbers of layers are one table; in an
// experiment that is of sizes each is a table of its own.
func TestLayersThatFit(t *testing.T) {
	for _, c := range []struct {
		declared string
		one      bool
	}{
		{`{"name": "an-experiment", "equal": {"what": "bytes", "of": "vanilla", "by": "layers"}}`, true},
		{`{"name": "an-experiment", "equal": {"what": "bytes", "of": "vanilla", "by": "batch_size"}}`, false},
		{`{"name": "another", "equal": {"what": "bytes", "of": "vanilla", "by": "layers"}}`, false},
		{`{"name": "an-experiment"}`, false},
	} {
		dir := t.TempDir()
		runs := filepath.Join(dir, experiment.RunsDir)
		var rows []results.Row
		for _, seed := range []uint64{1, 2} {
			for _, m := range []made{
				{name: "whole", method: "vanilla", perplexity: 100},
				{name: "deeper", method: "lora", layers: 8, perplexity: 90},
			} {
				m.name, m.seed = fmt.Sprint(m.name, seed), seed
				m.lr, m.end, m.peak, m.perplexity = 0.01, 4, gib, m.perplexity+float64(seed)
				r := results.Of(m.write(t, runs))
				r.Experiment = "an-experiment"
				rows = append(rows, r)
			}
		}
		var csv strings.Builder
		if err := results.WriteCSV(&csv, rows, false); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{experiment.ResultsFile: csv.String(),
			experiment.DeclaredFile: c.declared} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		_, markdown, _ := written(t, dir)
		if got := strings.Count(markdown, "## an-experiment · "); (got == 1) != c.one {
			t.Errorf("%s: %d tables", c.declared, got)
		}
		if !c.one {
			row(t, markdown, "lora") // Nothing is added to its name.
			continue
		}
		if !strings.Contains(markdown, " parameters: 6, 8 layers, hidden ") {
			t.Errorf("the title has not both numbers of layers:\n%s", markdown)
		}
		row(t, markdown, "vanilla · 6 layers")
		if got := row(t, markdown, "lora · 8 layers"); got[5] != `**−10.0 \[−10.0, −10.0\]**` {
			t.Errorf("the difference from vanilla training: %q", got)
		}
	}
}

// Families that the table would name alike are told apart by the options in which they differ.
func TestLabelsTellApart(t *testing.T) {
	dir := t.TempDir()
	for i, position := range []string{"upper", "lower"} {
		folder := made{name: position, method: "step", stages: 2, seed: 1, lr: 0.01, end: 4, perplexity: 100, peak: gib,
			spec: map[string]any{"method": map[string]any{"name": "step", "position": position}}}.write(t, dir)
		if i == 1 {
			path := filepath.Join(folder, record.RecipeFile)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lower := strings.ReplaceAll(string(text), `"upper"`, `"lower"`)
			if err := os.WriteFile(path, []byte(lower), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, markdown, _ := written(t, dir)
	for _, label := range []string{"step K=2 · position upper", "step K=2 · position lower"} {
		row(t, markdown, label)
	}
	if !strings.Contains(markdown, "nothing is compared") {
		t.Error("that there is no vanilla training is not said")
	}
}

// What all are compared with is vanilla training as it is by default, not a variant of it that does better.
func TestTheBaseIsPlain(t *testing.T) {
	dir := t.TempDir()
	made{name: "plain", method: "vanilla", seed: 1, lr: 0.01, end: 4, perplexity: 100, peak: gib}.write(t, dir)
	folder := made{name: "clipped", method: "vanilla", seed: 1, lr: 0.01, end: 3, perplexity: 90, peak: gib,
		spec: map[string]any{"optimizer": map[string]any{"clip_norm": 2}}}.write(t, dir)
	path := filepath.Join(folder, record.RecipeFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clipped := strings.Replace(string(text), `"max_norm": 1,`, `"max_norm": 2,`, 1)
	if clipped == string(text) {
		t.Fatalf("%s has no max_norm of 1", path)
	}
	if err := os.WriteFile(path, []byte(clipped), 0o644); err != nil {
		t.Fatal(err)
	}
	_, markdown, _ := written(t, dir)
	if !strings.Contains(markdown, "Compared with vanilla, rate 0.01, whose final loss is 4.") {
		t.Errorf("compared with another than plain vanilla training:\n%s", markdown)
	}
	row(t, markdown, "vanilla · clip norm 2")
}

// A rate of embedding and head, or of adapters, that is a share of the others' makes one family of all rates, and
// another than without; each has a name of its own.
func TestRatesBesideOthers(t *testing.T) {
	for _, c := range []struct{ method, group, option, word string }{
		{"vanilla", "schedule", "embedding_lr", "embedding lr"}, {"lora", "method", "adapter_lr", "adapter lr"},
	} {
		dir := t.TempDir()
		for i, lr := range []float64{0.01, 0.02, 0.01, 0.02} {
			m := made{name: fmt.Sprint("run-", i), method: c.method, seed: 1, lr: lr, end: 4,
				perplexity: 100 + float64(i), peak: gib}
			if i < 2 {
				m.write(t, dir)
				continue
			}
			parts := map[string]map[string]any{"schedule": {"lr": []float64{lr}, "seed": 1},
				"method": {"name": c.method}}
			parts[c.group][c.option] = 4
			m.spec = map[string]any{"schedule": parts["schedule"], "method": parts["method"]}
			faster(t, m.write(t, dir), c.option, lr)
		}
		_, markdown, _ := written(t, dir)
		grid := markdown[strings.Index(markdown, "### Learning rates"):]
		for share, want := range map[int][]string{1: {"**100.00**", "101.00"}, 4: {"**102.00**", "103.00"}} {
			label := fmt.Sprintf("%s · %s %d", c.method, c.word, share)
			if got := row(t, grid, label); !slices.Equal(got[1:3], want) {
				t.Errorf("%s: %q, want %q", label, got, want)
			}
		}
	}
}

// Runs of so many epochs have other numbers of steps with another seed, which leaves other examples to train on: they
// are one row all the same, and those of more epochs another.
func TestEpochsAreOneRowOverSeeds(t *testing.T) {
	dir := t.TempDir()
	for epochs := 2; epochs <= 3; epochs++ {
		for seed := uint64(1); seed <= 2; seed++ {
			made{name: fmt.Sprintf("run-%d-%d", epochs, seed), method: "vanilla", seed: seed, lr: 0.01, end: 4,
				perplexity: 100, peak: gib, more: int(seed), spec: map[string]any{"schedule": map[string]any{
					"epochs": epochs, "lr": []float64{0.01}, "seed": seed}}}.write(t, dir)
		}
	}
	_, markdown, _ := written(t, dir)
	for _, label := range []string{"vanilla · epochs 2", "vanilla · epochs 3"} {
		if got := row(t, markdown, label); got[2] != "2" {
			t.Errorf("%s has %s seeds, want 2", label, got[2])
		}
	}
}

// faster makes a rate of a run's recipe four times its learning rate.
func faster(t *testing.T, run, option string, lr float64) {
	t.Helper()
	path := filepath.Join(run, record.RecipeFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	own, is := fmt.Sprintf(`"lr": %g,`, lr), fmt.Sprintf(`"%s": %g,`, option, lr)
	made, to := string(text), fmt.Sprintf(`"%s": %g,`, option, 4*lr)
	if strings.Contains(made, is) {
		made = strings.Replace(made, is, to, 1)
	} else {
		made = strings.Replace(made, own, own+" "+to, 1)
	}
	if made == string(text) {
		t.Fatalf("%s has no %s", path, own)
	}
	if err := os.WriteFile(path, []byte(made), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Names and texts from a run's folder are text wherever they come out: no script, no element, no entity, no row is made
// of them, and the data that the script reads is JSON.
func TestHostileText(t *testing.T) {
	const evil = `<script>document.title="taken"<!--</script><img src=x onerror=alert(1)>|&quot;"'` + "`"
	dir := t.TempDir()
	name := `<img src=x onerror=alert(1)> <script> | "a" & 'b'`
	folder := made{
		name:       name,
		method:     "vanilla",
		seed:       1,
		lr:         0.01,
		end:        4,
		perplexity: 10,
		peak:       gib,
		stop:       21,
		failure:    evil,
		says:       evil,
		spec:       map[string]any{"evil": evil, "data": map[string]any{"train": []string{evil}}},
	}.write(
		t,
		dir,
	)
	text, err := os.ReadFile(filepath.Join(folder, record.SystemsFile))
	if err != nil {
		t.Fatal(err)
	}
	system, err := json.Marshal([]record.System{{Device: evil}})
	if err != nil || len(text) == 0 {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, record.SystemsFile), system, 0o644); err != nil {
		t.Fatal(err)
	}
	html, markdown, _ := written(t, dir)
	all := len(scripts) + 1 // and the data
	for tag, want := range map[string]int{"<script": all, "</script": all, "<img": 0, "<!--": 0} {
		if got := strings.Count(strings.ToLower(html), tag); got != want {
			t.Errorf("%d of %s in the page, want %d", got, tag, want)
		}
	}
	outside := regexp.MustCompile(`(?m)^    .*$`).ReplaceAllString(markdown, "") // Code is as it is.
	if strings.Contains(outside, "<") || !strings.Contains(markdown, "&lt;script") {
		t.Errorf("the Markdown has markup:\n%s", markdown)
	}
	for title, want := range map[string]int{"## Runs": 11, "## What the models say": 5} {
		_, part, _ := strings.Cut(markdown, title)
		part, _, _ = strings.Cut(part, "\n## ")
		rows := 0
		for _, line := range strings.Split(part, "\n") {
			if !strings.HasPrefix(line, "| &lt;img") {
				continue
			}
			rows++
			if bars := len(regexp.MustCompile(`(^|[^\\])\|`).FindAllString(line, -1)); bars != want {
				t.Errorf("a row has %d bars, want %d: %s", bars, want, line)
			}
		}
		if rows != 1 {
			t.Errorf("%s: %d rows of the run", title, rows)
		}
	}
	data := regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`).FindStringSubmatch(html)
	var p struct {
		Runs []struct {
			Name string
			Spec map[string]string
		}
	}
	if err := json.Unmarshal([]byte(data[1]), &p); err != nil {
		t.Fatal(err)
	}
	if p.Runs[0].Name != name || !strings.Contains(p.Runs[0].Spec["evil"], "onerror") {
		t.Errorf("the data is %+v", p)
	}
}

// The library is the one that its notice names, and its licence lies beside it.
func TestLibraryIsAsPublished(t *testing.T) {
	readme := asset("uplot/README.md")
	sums := regexp.MustCompile("`(uPlot[^`]+)` \\| ([0-9a-f]{64})").FindAllStringSubmatch(readme, -1)
	if len(sums) != 2 || !strings.Contains(asset("uplot/LICENSE"), "MIT License") {
		t.Fatalf("sums %v", sums)
	}
	for _, m := range sums {
		sum := sha256.Sum256([]byte(asset("uplot/" + m[1])))
		if got := hex.EncodeToString(sum[:]); got != m[2] {
			t.Errorf("%s has the sum %s, its notice says %s", m[1], got, m[2])
		}
	}
	if html, _, _ := written(t, madeRuns(t)); !strings.Contains(html, "Leon Sorokin") {
		t.Error("the page does not have the library's licence")
	}
}

// The page asks for nothing: no address of another place is in what it loads.
func TestPageNeedsNothing(t *testing.T) {
	html, _, _ := written(t, madeRuns(t))
	elsewhere := regexp.MustCompile(`(?i)(src|href)="?(https?:|//|[a-z]+\.[a-z]+")|@import|url\(`)
	if m := elsewhere.FindString(html); m != "" {
		t.Errorf("the page loads %q", m)
	}
	if !strings.Contains(html, "default-src &#39;none&#39;") || strings.Contains(html, "unsafe") ||
		strings.Contains(html, "connect-src") {
		t.Error("the page's policy is not that nothing but itself may run")
	}
}

// A reader reads again only what changed, and says when something did.
func TestReaderSeesChanges(t *testing.T) {
	dir := t.TempDir()
	r := &Reader{Dirs: []string{dir}}
	if _, err := r.Read(); err == nil || !strings.Contains(err.Error(), "no run to report") {
		t.Errorf("error %v", err)
	}
	before := r.Stamp()
	m := made{name: "a", method: "vanilla", seed: 1, lr: 0.01, end: 4, perplexity: 10, peak: gib}
	m.write(t, dir)
	m.name = "b"
	folder := m.write(t, dir)
	if r.Stamp() == before {
		t.Error("a new run is not seen")
	}
	first, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	before = r.Stamp()
	if r.Stamp() != before {
		t.Error("nothing changed, and it looks so")
	}
	f, err := os.OpenFile(filepath.Join(folder, record.File), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, `{"event":"resume","step":40,"stage":1}`)
	f.Close()
	second, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	if r.Stamp() == before || first.runs[0] != second.runs[0] || first.runs[1] == second.runs[1] {
		t.Error("what changed is not what is read again")
	}
}

// Links to a run and to a folder of runs are what they lead to, and a run that is met twice is there once.
func TestLinks(t *testing.T) {
	dir, links := madeRuns(t), t.TempDir()
	all, one := filepath.Join(links, "all"), filepath.Join(links, "one")
	if os.Symlink(dir, all) != nil || os.Symlink(filepath.Join(dir, "step-1"), one) != nil {
		t.Skip("no links here")
	}
	r, err := (&Reader{Dirs: []string{all, dir, one}}).Read()
	if err != nil || r.Count() != 10 {
		t.Errorf("%d runs, %v", r.Count(), err)
	}
	if r, err = (&Reader{Dirs: []string{one}}).Read(); err != nil || r.Count() != 1 || r.runs[0].Run != "one" {
		t.Errorf("%+v, %v", r, err)
	}
}

// Whichever file of a run is not there, is none, is cut, is of another kind or says what no version says: the run is
// named with what is wrong, in the page and in the Markdown, and its neighbour is as it was.
func TestEveryFileWrong(t *testing.T) {
	m := made{name: "wrong", method: "vanilla", seed: 1, lr: 0.01, end: 4, perplexity: 10, peak: gib, says: " x"}
	write := func(content string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(content), 0o644) }
	}
	edit := func(change func(string) string) func(string) error {
		return func(path string) error {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, []byte(change(string(text))), 0o644)
		}
	}
	folder := func(path string) error {
		if err := os.Remove(path); err != nil {
			return err
		}
		return os.Mkdir(path, 0o755)
	}
	without := func(line string) func(string) error {
		return edit(func(s string) string {
			return strings.Join(slices.DeleteFunc(strings.SplitAfter(s, "\n"),
				func(l string) bool { return strings.Contains(l, line) }), "")
		})
	}
	instead := func(old, new string) func(string) error {
		return edit(func(s string) string { return strings.Replace(s, old, new, 1) })
	}
	type wrongs map[string]func(string) error
	kinds := wrongs{"gone": os.Remove, "empty": write(""), "a folder": folder, "cut": edit(func(s string) string {
		return s[:len(s)/2]
	}), "zeros": write(strings.Repeat("\x00", 100)), "null": write("null\n"), "a list": write("[1]\n"),
		"an object": write("{}\n"), "a number": write("1e999\n")}
	more := map[string]wrongs{
		record.File: {
			"a text for a number": instead(`"loss":`, `"loss":"`), "no text": instead(`"text":`, `"text":7,"was":`),
			"samples that are none": instead(`"samples":[`, `"samples":null,"was":[`),
			"a step again":          edit(func(s string) string { return s + s }),
			"no end":                without(`"event":"end"`), "no evaluation": without(`"event":"eval"`),
			"a result that is none": instead(`"result":{`, `"result":{"metrics":7,"perplexity":"x","was":{}},"had":{`),
			"a later event":         edit(func(s string) string { return s + `{"event":"party","step":41}` + "\n" }),
			"no stage":              instead(`"stage":1`, `"stage":-7`),
		},
		record.RecipeFile: {
			"a later version": instead(`"format": 3`, `"format": 99`),
			"no stages":       instead(`"stages": [`, `"stages": [], "was": [`),
			"no layers":       instead(`"layers": `, `"layers": -`), "another optimizer": instead(`adamw`, `adamx`),
		},
	}
	// What such a run came to is known: what is wrong is said beside it, or nothing is.
	done := func(file, kind string) bool {
		return file == record.SpecFile || file == record.SystemsFile || slices.Contains([]string{"no evaluation",
			"a result that is none", "samples that are none", "no stage"}, kind)
	}
	quiet := map[string]bool{"no evaluation": true, "samples that are none": true, "no stage": true, "gone": true,
		"null": true, record.SpecFile + " an object": true}
	for _, file := range []string{record.File, record.RecipeFile, record.SpecFile, record.SystemsFile} {
		all := maps.Clone(kinds)
		maps.Copy(all, more[file])
		for kind, spoil := range all {
			t.Run(file+" "+kind, func(t *testing.T) {
				dir := t.TempDir()
				beside := m
				beside.name, beside.seed = "beside", 2
				beside.write(t, dir)
				if err := spoil(filepath.Join(m.write(t, dir), file)); err != nil {
					t.Fatal(err)
				}
				html, markdown, csv := written(t, dir)
				head := row(t, markdown, "run")
				status := func(run string) string { return row(t, markdown, run)[slices.Index(head, "status")] }
				if status("beside") != "done" {
					t.Errorf("the run beside it is %q", status("beside"))
				}
				state, problem, _ := strings.Cut(strings.Trim(status("wrong"), "*"), ": ")
				if (state == "done") != done(file, kind) || (problem == "") != (state == "done" && (quiet[kind] ||
					quiet[file+" "+kind])) {
					t.Errorf("its status is %q", status("wrong"))
				}
				if !strings.Contains(html, ">wrong<") {
					t.Error("the page does not name it")
				}
				if rows, err := results.ReadCSV(strings.NewReader(csv)); err != nil || len(rows) != 2 {
					t.Errorf("%d rows, %v", len(rows), err)
				}
			})
		}
	}
}
