package measure

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
)

// metricsRun is a run folder with made-up metrics of so many steps, 64 tokens
// each, that grew in the middle.
func metricsRun(t *testing.T, name string, steps int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i := 1; i <= steps; i++ {
		fmt.Fprintf(&b,
			`{"step":%d,"stage":1,"loss":%g,"lr":0.001,"grad_norm":1,"tokens":%d,"tokens_per_second":9,"bytes":{"weights":4},"peak_bytes":4}`+"\n", i, 2+4/float64(i), 64*i)
		if i == steps/2 {
			fmt.Fprintf(&b,
				`{"event":"growth","step":%d,"stage":2,"from_layers":1,"to_layers":2,"new_blocks":[1]}`+"\n", i)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "metrics.jsonl"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPlot(t *testing.T) {
	long, short := metricsRun(t, "long", 40), metricsRun(t, "short", 9)
	image := filepath.Join(t.TempDir(), "loss.svg")
	plot := func(args ...string) string {
		t.Helper()
		out := clitest.Succeed(t, "", append([]string{"plot", "--svg", image}, args...)...)
		if want := "the loss of long, short is in " + image + "\n"; out != want {
			t.Errorf("printed %q, want %q", out, want)
		}
		svg := clitest.Contents(t, image)
		clitest.WellFormed(t, []byte(svg))
		return svg
	}
	steps := plot(long, filepath.Join(short, "metrics.jsonl"))
	clitest.Golden(t, *update, "plot.svg", steps)
	if again := plot(long, short); again != steps {
		t.Error("the same runs gave another image")
	}
	if got := clitest.Entries(t, filepath.Dir(image)); !slices.Equal(got, []string{"loss.svg"}) {
		t.Errorf("%q are there", got)
	}
	for what, args := range map[string][]string{
		">tokens<": {"--x", "tokens"}, ">2,000<": {"--x", "tokens"}, "(mean of the last 5 steps)": {"--smooth", "5"},
		">seconds of work<": {"--x", "time"},
	} {
		if other := plot(append(args, long, short)...); !strings.Contains(other, what) ||
			strings.Contains(steps, what) {
			t.Errorf("plot %q does not show %q, or it does without", args, what)
		}
	}
}

// What a run was measured on is drawn where it was measured, in nats per token.
func TestPlotShowsEvaluations(t *testing.T) {
	run := metricsRun(t, "run", 10)
	path := filepath.Join(run, "metrics.jsonl")
	text := clitest.Contents(t, path)
	for _, c := range []struct {
		step int
		set  string
		nll  float64
	}{{5, "validation", 500}, {10, "validation", 400}, {10, "wikitext", 350}} {
		line := fmt.Sprintf(`{"event":"eval","step":%d,"stage":1,"set":%q,"when":"end","result":{"name":%q,`+
			`"unit":"token","perplexity":9,"tokens":100,"detail":{"nll":%g,"tokens":100,"unit":"token"}}}`, c.step,
			c.set, c.set, c.nll)
		after := fmt.Sprintf(`"tokens":%d,`, 64*c.step)
		at := strings.Index(text, after)
		at += strings.Index(text[at:], "\n") + 1
		text = text[:at] + line + "\n" + text[at:]
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(t.TempDir(), "loss.svg")
	clitest.Succeed(t, "", "plot", run, "--svg", image)
	svg := clitest.Contents(t, image)
	clitest.WellFormed(t, []byte(svg))
	for _, want := range []string{">run: validation<", ">run: wikitext<", "points of what the model was measured on"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s in\n%s", want, svg)
		}
	}
	// Both entries of the legend, and three points; of these the right ones are at the right end.
	points := regexp.MustCompile(`<circle cx="([0-9.]+)" cy="([0-9.]+)"`).FindAllStringSubmatch(svg, -1)
	if len(points) != 5 || points[2][1] == points[3][1] || points[3][1] != points[4][1] {
		t.Fatalf("points %v", points)
	}
	// 5, 4 and 3.5 nats: the lower one is lower in the image, by half as much.
	y := func(i int) (f float64) {
		fmt.Sscan(points[i][2], &f)
		return f
	}
	if d := (y(3) - y(2)) - 2*(y(4)-y(3)); math.Abs(d) > 0.1 || y(3) <= y(2) {
		t.Errorf("heights %g, %g and %g of 5, 4 and 3.5 nats", y(2), y(3), y(4))
	}
}

func TestPlotErrors(t *testing.T) {
	run := metricsRun(t, "run", 4)
	dir := t.TempDir()
	image := filepath.Join(dir, "loss.svg")
	damaged := metricsRun(t, "damaged", 4)
	text := clitest.Contents(t, damaged, "metrics.jsonl")
	text = text[:len(text)-9] + "\n"
	if err := os.WriteFile(filepath.Join(damaged, "metrics.jsonl"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code  int
		parts []string
		args  []string
	}{
		{2, []string{"<run>"}, []string{"--svg", image}},
		{2, []string{"--svg"}, []string{run}},
		{2, []string{"--svg", "loss.png", "the image is SVG", "loss.svg"}, []string{run, "--svg", "loss.png"}},
		{2, []string{"--smooth 0", "1 or more"}, []string{run, "--svg", image, "--smooth", "0"}},
		{2, []string{"--x", "step", "tokens", "hours"}, []string{run, "--svg", image, "--x", "hours"}},
		{1, []string{run, "operations are counted by a run's recipe", "recipe.json"},
			[]string{run, "--svg", image, "--x", "flops"}},
		{2, []string{run, "given twice"}, []string{run, run + "/", "--svg", image}},
		{1, []string{"missing", "no such"}, []string{run, filepath.Join(dir, "missing"), "--svg", image}},
		{1, []string{dir, "holds no run", "metrics.jsonl"}, []string{dir, "--svg", image}},
		{1, []string{"no step yet"}, []string{clitest.WriteFile(t, "metrics.jsonl", ""), "--svg", image}},
		{1, []string{"damaged", "metrics.jsonl, line 5", "not a line"}, []string{damaged, "--svg", image}},
		{1, []string{`curve "one"`, "1 points", "at least 2"}, []string{metricsRun(t, "one", 1), "--svg", image}},
		{1, []string{"loss.svg", "cannot be written"}, []string{run, "--svg", filepath.Join(dir, "none", "loss.svg")}},
	} {
		clitest.Fail(t, c.code, c.parts, append([]string{"plot"}, c.args...)...)
	}
	if got := clitest.Entries(t, dir); len(got) > 0 {
		t.Errorf("%q are left", got)
	}
}

var update = flag.Bool("update", false, "rewrite golden files")
