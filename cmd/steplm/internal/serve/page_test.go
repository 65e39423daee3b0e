package serve_test

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"steplm/cmd/steplm/internal/browsertest"
	"steplm/cmd/steplm/internal/serve"
	"steplm/model/generate"
)

// lastSaid is what the page's last message says.
const lastSaid = `document.querySelector("article:last-child p")?.textContent ?? ""`

// A person talks to the model with the keyboard alone: sees the answer come, stops one, begins anew, continues a text.
func TestPage(t *testing.T) {
	s := stories(t, nil)
	b := browsertest.Open(t, s.url, "#said")
	b.Until(`document.title === "small"`)
	b.Run(chromedp.SendKeys("#said", "Once upon a time"))
	b.Enter()
	b.Until(`document.querySelector("#state").textContent.endsWith("added")`)
	if n := browsertest.Ask[int](b, `document.querySelectorAll("article").length`); n != 2 {
		t.Errorf("%d messages", n)
	}
	first := browsertest.Ask[string](b, lastSaid)
	if first == "" || browsertest.Ask[string](b, `document.querySelector("#said").value`) != "" ||
		browsertest.Ask[string](b, `document.activeElement.id`) != "said" {
		t.Errorf("the answer is %q", first)
	}
	// One that would be long is stopped, and what it had stays.
	b.Run(chromedp.SetValue("#max_tokens", "400"), chromedp.SendKeys("#said", "And"))
	b.Enter()
	b.Until(`document.querySelectorAll("article").length === 4 && (` + lastSaid + `) !== ""`)
	b.Run(chromedp.KeyEvent(kb.Escape))
	b.Until(`document.querySelector("#state").textContent === "stopped" && document.querySelector("#stop").hidden`)
	s.until("what nobody waits for ends", func() bool { return s.metric("running", "") == 0 })
	if part := browsertest.Ask[string](b, lastSaid); part == "" {
		t.Error("what was said is gone")
	}
	b.Run(chromedp.Click("#anew"))
	if n := browsertest.Ask[int](b, `document.querySelectorAll("article").length`); n != 0 {
		t.Errorf("%d messages after all began anew", n)
	}
	// Markup is text.
	b.Run(chromedp.SetValue("#mode", "text"), chromedp.SetValue("#temperature", "0"), chromedp.SetValue("#max_tokens",
		"8"))
	b.Run(chromedp.SendKeys("#said", "<img src=x onerror=alert(1)>"))
	b.Enter()
	b.Until(`document.querySelector("#state").textContent.endsWith("8 added")`)
	if said := browsertest.Ask[string](b, lastSaid); !strings.HasPrefix(said, "<img src=x onerror=alert(1)>") ||
		browsertest.Ask[int](b, `document.querySelectorAll("img").length`) != 0 {
		t.Errorf("said %q", said)
	}
	if unreachable := browsertest.Ask[int](b,
		`[...document.querySelectorAll("button, input, select, textarea, summary")]`+
			`.filter(e => e.tabIndex < 0 || !(e.labels?.length || e.textContent.trim())).length`); unreachable != 0 {
		t.Errorf("%d elements cannot be reached or have no name", unreachable)
	}
	if said := b.Complaints(); said != "" {
		t.Errorf("the page complains: %s", said)
	}
	// What the server refuses is told, and what was written is there still.
	b.Run(chromedp.SendKeys("#said", strings.Repeat("long ", 500)))
	b.Enter()
	b.Until(`document.querySelector("#problem").textContent.includes("tokens, at most 512 fit")`)
	if browsertest.Ask[int](b, `document.querySelector("#said").value.length`) != 2500 {
		t.Error("what was written is gone")
	}
}

// The page asks for no more tokens than the server adds.
func TestPageKnowsTheLimit(t *testing.T) {
	s := stories(t, func(c *serve.Config, _ *generate.Config) { c.MaxTokens = 4 })
	b := browsertest.Open(t, s.url, "#said")
	b.Until(`document.title === "small"`)
	b.Run(chromedp.SendKeys("#said", "Once upon a time"))
	b.Enter()
	b.Until(`document.querySelector("#state").textContent.endsWith("4 added")`)
	if said := browsertest.Ask[string](b, `document.querySelector("#problem").textContent`); said != "" {
		t.Errorf("the page says %q", said)
	}
}

// The page is dark where the system is, asks for a key where one is needed, and runs no other script.
func TestPageIsDarkAndLocked(t *testing.T) {
	s := random(t, func(c *serve.Config, _ *generate.Config) { c.Key = "open-sesame" })
	b := browsertest.Open(t, s.url, "#said")
	b.Until(`document.querySelector("#settings").open && document.querySelector("#problem").textContent.includes("key")`)
	b.Complaints() // of an answer of 401
	b.Run(chromedp.SendKeys("#key", "open-sesame"+kb.Tab))
	b.Until(`document.title === "small" && document.querySelector("#problem").textContent === ""`)
	const paper = `getComputedStyle(document.body).backgroundColor`
	light := browsertest.Ask[string](b, paper)
	if _, err := chromedp.Call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}}); err != nil {
		t.Fatal(err)
	}
	if dark := browsertest.Ask[string](b, paper); dark != "rgb(20, 23, 26)" || light != "rgb(255, 255, 255)" {
		t.Errorf("light %s, dark %s", light, dark)
	}
	if said := b.Complaints(); said != "" {
		t.Errorf("the page complains: %s", said)
	}
	browsertest.Ask[bool](b,
		`(() => { const s = document.createElement("script"); s.textContent = "window.broken = true"; `+
			`document.body.append(s); return true; })()`)
	if browsertest.Ask[bool](b, `window.broken === true`) || !strings.Contains(b.Complaints(),
		"Content Security Policy") {
		t.Error("the page runs what is not its own")
	}
}
