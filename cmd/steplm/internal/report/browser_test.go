package report

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	screen "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"steplm/cmd/steplm/internal/browsertest"
)

var screenshots = flag.String(
	"screenshots",
	"",
	"keep a picture of the page in this folder, as desktop, phone and dark",
)

// open opens a report's page.
func open(t *testing.T, url string) *browsertest.Browser {
	t.Helper()
	return browsertest.Open(t, url, "#limit-plot > *")
}

// opened writes a report of the runs that a test needs, and opens its page from disk.
func opened(t *testing.T, dirs ...string) *browsertest.Browser {
	t.Helper()
	html, _, _ := written(t, dirs...)
	path := filepath.Join(t.TempDir(), PageFile)
	if err := os.WriteFile(path, []byte(html), 0o644); err != nil {
		t.Fatal(err)
	}
	return open(t, "file://"+filepath.ToSlash(path))
}

// The page opens from disk and complains of nothing; its charts have the axes and the numbers of the runs.
func TestBrowserShowsTheRuns(t *testing.T) {
	b := opened(t, madeRuns(t))
	type shown struct {
		Names  []string
		X      [2]float64
		Label  string
		Losses []float64
	}
	const read = `(() => { const u = document.querySelector("#loss-plot").plot, at = u.series.findIndex((s) => s.label === "vanilla-1");
		return { Names: u.series.slice(1).map((s) => s.label), X: [u.scales.x.min, u.scales.x.max], Label: u.axes[0].label,
			Losses: at < 0 ? [0, 0] : [u.data[at][0], u.data[at][u.data[at].length - 1]] }; })()`
	b.Run(chromedp.Click(`#smooth input[value="0"]`))
	curves := browsertest.Ask[shown](b, read)
	if len(curves.Names) != 3 || curves.Label != "tokens" || curves.X != [2]float64{stepTokens, steps * stepTokens} ||
		curves.Losses[0] != 5.95 || curves.Losses[1] != 4 {
		t.Errorf("the curves are %+v", curves)
	}
	const lowest = `document.querySelector("#loss-plot").plot.scales.y.min`
	if low := browsertest.Ask[float64](b, lowest); low > 2 || low < 1 {
		t.Errorf("the chart begins at %g nats: what was measured at 2 lies outside", low)
	}
	b.Run(chromedp.Click("#points-mine"))
	if low := browsertest.Ask[float64](b, lowest); low < 2.5 {
		t.Errorf("without points the chart begins at %g nats", low)
	}
	for axis, want := range map[string][2]float64{"step": {1, steps}, "time": {2, 2*steps + 2}} {
		b.Run(chromedp.Click(`#axis input[value="` + axis + `"]`))
		if curves = browsertest.Ask[shown](b, read); curves.X != want {
			t.Errorf("over %s from %v, want %v", axis, curves.X, want)
		}
	}
	b.Run(chromedp.Click(`#axis input[value="flops"]`))
	run := made{method: "vanilla", lr: 0.01, seed: 1}.recipe(t)
	flops, err := run.FLOPs()
	if err != nil {
		t.Fatal(err)
	}
	if curves = browsertest.Ask[shown](b, read); curves.X[1] < flops*0.999 || curves.X[1] > flops*1.001 {
		t.Errorf("operations to %g, want %g", curves.X[1], flops)
	}
	b.Run(chromedp.Click("#legend input")) // Vanilla's, the first.
	if curves = browsertest.Ask[shown](b, read); len(curves.Names) != 2 || curves.Names[0] != "scale-1" {
		t.Errorf("without vanilla: %q", curves.Names)
	}
	b.Run(chromedp.Click(`#seeds input[value="all"]`))
	if curves = browsertest.Ask[shown](b, read); len(curves.Names) != 9 {
		t.Errorf("of all seeds: %q", curves.Names)
	}
	b.Run(chromedp.Click("#all-off"), chromedp.WaitReady("#loss-plot .empty"), chromedp.Click("#all-on"))
	if curves = browsertest.Ask[shown](b, read); len(curves.Names) != 10 {
		t.Errorf("all on: %q", curves.Names)
	}
	// Means of 5 steps: the last one of vanilla's is of 4.2, 4.15, 4.1, 4.05 and 4.
	b.Run(chromedp.Click(`#smooth input[value="1"]`))
	if curves = browsertest.Ask[shown](b, read); curves.Losses[1] != 4.1 {
		t.Errorf("the mean of the last 5 steps is %g", curves.Losses[1])
	}
	marks := browsertest.Ask[int](b, `document.querySelector("#data").textContent.match(/growth after step/g).length`)
	dots := browsertest.Ask[int](b, `JSON.parse(document.querySelector("#data").textContent).runs[0].measured.length`)
	if marks != 3 || dots != 3 {
		t.Errorf("%d growths of three runs that grow, %d measurements of three", marks, dots)
	}
	b.Quiet()
}

// With the keyboard alone the cursor moves along a chart and shows values.
func TestBrowserKeyboard(t *testing.T) {
	b := opened(t, madeRuns(t))
	b.Run(chromedp.Focus("#loss-plot"), chromedp.KeyEvent(kb.End))
	tip := browsertest.Ask[string](
		b,
		`(() => { const tip = document.querySelector("#loss-plot .tip"); return tip && !tip.hidden ? tip.innerText : ""; })()`,
	)
	if !strings.Contains(tip, "tokens 640") || !strings.Contains(tip, "vanilla-1") || !strings.Contains(tip, "4.100") ||
		!strings.Contains(tip, "validation end: perplexity 311.00 per token") {
		t.Errorf("the tip at the end is %q", tip)
	}
	stops := browsertest.Ask[int](
		b,
		`[...document.querySelectorAll("a, button, input, select, summary, [tabindex]")].filter((e) => e.tabIndex < 0).length`,
	)
	if stops != 0 {
		t.Errorf("%d elements cannot be reached with the keyboard", stops)
	}
	b.Quiet()
}

// keep keeps a picture of what the screen shows, if pictures are wanted.
func keep(t *testing.T, b *browsertest.Browser, name string) {
	t.Helper()
	if *screenshots == "" {
		return
	}
	shot, err := chromedp.Call(b, screen.CaptureScreenshot, screen.CaptureScreenshotParams{})
	if err := errors.Join(err, os.MkdirAll(*screenshots, 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*screenshots, name+".png"), shot.Data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Three questions of a researcher have their answers after at most two clicks each, on the screen where the clicks
// were.
func TestBrowserAnswers(t *testing.T) {
	b := opened(t, madeRuns(t))
	for _, q := range []struct {
		name, answer string
		clicks       []string
		says         []string
	}{
		{"which-method-wins-at-2-gib", "#limit-answer", []string{`//*[@id="limits"]/button[.="2 GiB"]`},
			[]string{"Within 2 GiB: step K=2", "303.98 ± 4.36 (3 seeds) at 1.5 GiB",
				"Next is vanilla × scale with 408.60", "which exceeds what seeds do"}},
		{"when-did-the-loss-cross", "#level-answer", []string{`//*[@id="levels"]/button`},
			[]string{"7 of 10 runs came down to 4.08 nats per token; first step-1 after 528 tokens, at step 33"}},
		{"what-differs-between-two-runs", "#recipes-answer",
			[]string{`//*[@id="run-a"]/option[.="vanilla-1"]`, `//*[@id="run-b"]/option[.="vanilla-fast"]`},
			[]string{"3 values differ"}},
	} {
		if len(q.clicks) > 2 {
			t.Errorf("%s takes %d clicks", q.name, len(q.clicks))
		}
		for _, click := range q.clicks {
			b.Run(chromedp.Click(click))
		}
		b.Holds(q.answer, q.says...)
		seen := `(() => { const r = document.querySelector("` + q.answer + `").getBoundingClientRect();
			return r.height > 0 && r.top >= 0 && r.bottom <= innerHeight; })()`
		if !browsertest.Ask[bool](b, seen) {
			t.Errorf("%s: the answer is not on the screen after the clicks", q.name)
		}
		keep(t, b, q.name)
	}
	b.Holds("#level-table", "vanilla-fast", "not reached")
	b.Holds("#recipes-table", "schedule.lr", "[0.01]", "[0.1]", "stages[0].lr")
	// A limit of one's own, that nothing fits into.
	b.Run(chromedp.Focus("#limit-number"), chromedp.SendKeys("#limit-number", "0.5"))
	b.Holds("#limit-answer", "No method fits into 512 MiB: vanilla × scale takes least, 1.0 GiB")
	b.Quiet()
}

// What models said is there by run, the last step first, and by step; where nothing was said there is no section.
func TestBrowserSamples(t *testing.T) {
	dir := t.TempDir()
	for i, says := range []string{" upon a time", " more", ""} {
		made{name: "run-" + string('a'+rune(i)), method: "vanilla", seed: uint64(i), lr: 0.01, end: 4, perplexity: 10,
			peak: gib, says: says}.write(t, dir)
	}
	b := opened(t, dir)
	const rows = `[...document.querySelectorAll("#samples-table tr")].map((r) => [...r.children].map((c) => c.textContent))`
	b.Run(chromedp.Click("#samples-link"))
	got := browsertest.Ask[[][]string](b, rows)
	if diff := cmp.Diff([][]string{{"step", "Once  upon a time", "The"}, {"40", " upon a time at 40", " end"},
		{"20", " upon a time at 20", " end"}}, got); diff != "" {
		t.Errorf("of a run (-want +got):\n%s", diff)
	}
	b.Run(chromedp.SetValue("#samples-of", "step 20"))
	browsertest.Ask[bool](b, `document.querySelector("#samples-of").dispatchEvent(new Event("change"))`)
	got = browsertest.Ask[[][]string](b, rows)
	if diff := cmp.Diff([][]string{{"run", "Once  upon a time", "The", "Once  more"},
		{"run-a", " upon a time at 20", " end", "–"}, {"run-b", "–", " end", " more at 20"}}, got); diff != "" {
		t.Errorf("of a step (-want +got):\n%s", diff)
	}
	b.Quiet()
	b = opened(t, filepath.Join(dir, "run-c"))
	if browsertest.Ask[bool](b, `document.querySelector("#samples").checkVisibility()`) {
		t.Error("there is a section of samples, and none were drawn")
	}
}

// Hostile names and texts do nothing but be shown.
func TestBrowserHostileText(t *testing.T) {
	dir := t.TempDir()
	const evil = `</script><script>document.title="taken"</script><img src=x onerror="document.title='taken'">`
	name := `<img src=x onerror="document.title='taken'">`
	for seed := range uint64(2) {
		made{
			name:       name + string(rune('a'+seed)),
			method:     "vanilla",
			seed:       seed,
			lr:         0.01,
			end:        4,
			perplexity: 10,
			peak:       gib,
			says:       evil,
			spec:       map[string]any{"method": map[string]any{"evil": evil + string(rune('a'+seed))}},
		}.write(
			t,
			dir,
		)
	}
	b := opened(t, dir)
	b.Run(chromedp.Click(`//*[@id="levels"]/button`), chromedp.Focus("#loss-plot"), chromedp.KeyEvent(kb.End))
	b.Holds("#level-table", name+"a")
	quoted := strings.ReplaceAll(evil, `"`, `\"`)
	b.Holds("#recipes-table", quoted+"a", quoted+"b")
	b.Holds("#samples-table", "Once "+evil, evil+" at 40")
	title, images := browsertest.Ask[string](b, `document.title`),
		browsertest.Ask[int](b, `document.querySelectorAll("img").length`)
	if title != "steplm report" || images != 0 {
		t.Errorf("the title is %q, there are %d images", title, images)
	}
	b.Quiet()
}

// What was wrong with runs leaves no chart or question without an answer.
func TestBrowserOfRunsWithProblems(t *testing.T) {
	dir := t.TempDir()
	made{name: "blown", method: "vanilla", seed: 6, lr: 0.01, end: 1, perplexity: 1, peak: gib, stop: 9,
		failure: "step 10: the loss is NaN"}.write(t, dir)
	folder := made{name: "unread", method: "vanilla", seed: 7, lr: 0.01, end: 1, perplexity: 1, peak: gib}.write(t, dir)
	if err := os.WriteFile(filepath.Join(folder, "recipe.json"), []byte("["), 0o644); err != nil {
		t.Fatal(err)
	}
	made{
		name:       "one-step",
		method:     "vanilla",
		seed:       8,
		lr:         0.01,
		end:        1,
		perplexity: 1,
		peak:       gib,
		stop:       1,
	}.write(
		t,
		dir,
	)
	if err := os.MkdirAll(filepath.Join(dir, "begun"), 0o755); err == nil {
		err = os.WriteFile(filepath.Join(dir, "begun", "metrics.jsonl"), nil, 0o644)
		if err != nil {
			t.Fatal(err)
		}
	}
	b := opened(t, dir)
	b.Run(chromedp.Click("#all-on"))
	b.Holds("#limit-answer", "No method here has both")
	b.Holds("#runs", "blown", "step 10: the loss is NaN", "unread", "begun")
	b.Quiet()
}

// A live page shows new steps by itself, and says when its server is away and when it is back.
func TestBrowserLive(t *testing.T) {
	dir := t.TempDir()
	folder := made{name: "a-run", method: "vanilla", seed: 1, lr: 0.01, end: 4, perplexity: 10, peak: gib}.write(t, dir)
	url, stop := served(t, dir, t.TempDir())
	b := open(t, url)
	b.Until(`document.querySelector("#live").textContent === "live"`)
	lengthen(t, folder)
	b.Until(`document.querySelector("#loss-plot").plot.scales.x.max === 10000`)
	b.Until(`document.querySelector("#runs").textContent.includes("41")`)
	b.Quiet()
	if err := stop(); err != nil {
		t.Error(err)
	}
	b.Until(`document.querySelector("#live").classList.contains("lost")`)
}

// A live page may be opened before there is any run, and shows what comes: the first one, and then the table of rates.
func TestBrowserBeforeTheFirstRun(t *testing.T) {
	dir := t.TempDir()
	url, stop := served(t, dir, t.TempDir())
	b := open(t, url)
	b.Until(`document.querySelector("#live").textContent === "live"`)
	run := made{name: "a-run", method: "vanilla", seed: 1, lr: 0.01, end: 4, perplexity: 10, peak: gib}
	run.write(t, dir)
	b.Until(`document.querySelector("#runs").textContent.includes("a-run")`)
	if !browsertest.Ask[bool](b, `document.querySelector("#rates").hidden`) {
		t.Error("one rate has a table of rates")
	}
	run.name, run.lr = "another", 0.02
	run.write(t, dir)
	b.Until(`!document.querySelector("#rates").hidden && !document.querySelector("#rates-link").hidden`)
	b.Quiet()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// The page is as wide as the screen, on a phone too, in light and dark; with -screenshots there are pictures to look
// at.
func TestBrowserScreens(t *testing.T) {
	b := opened(t, madeRuns(t))
	b.Run(chromedp.Click(`//*[@id="limits"]/button[.="2 GiB"]`), chromedp.Click(`//*[@id="levels"]/button`))
	for _, screen := range []struct {
		name          string
		width, height int64
		scheme        string
	}{{"desktop", 1280, 900, "light"}, {"phone", 390, 844, "light"}, {"dark", 1280, 900, "dark"}} {
		b.Run(chromedp.EmulateViewport(screen.width, screen.height))
		if _, err := chromedp.Call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: screen.scheme}}}); err != nil {
			t.Fatal(err)
		}
		// Two frames later charts have their new size.
		b.Until(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
		overflow := browsertest.Ask[float64](b, `document.documentElement.scrollWidth - innerWidth`)
		paper := browsertest.Ask[string](b, `getComputedStyle(document.body).backgroundColor`)
		if overflow > 0 || (paper == "rgb(255, 255, 255)") != (screen.scheme == "light") {
			t.Errorf("%s: the page is %g pixels too wide, and its background %s", screen.name, overflow, paper)
		}
		if *screenshots == "" {
			continue
		}
		b.Run(chromedp.Focus("#loss-plot"), chromedp.KeyEvent(kb.Home), chromedp.KeyEvent(kb.ArrowRight+kb.ArrowRight))
		browsertest.Ask[bool](b, `(scrollTo(0, 0), true)`) // The head of the page stays at its top.
		picture, err := chromedp.Run(b, chromedp.FullScreenshot(100))
		if err := errors.Join(err, os.MkdirAll(*screenshots, 0o755),
			os.WriteFile(filepath.Join(*screenshots, screen.name+".png"), picture, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	b.Quiet()
}
