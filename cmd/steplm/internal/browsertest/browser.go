// Package browsertest is for tests of pages: a headless Chromium that has one open and keeps what it complains of.
package browsertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	dialogs "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Browser is a headless Chromium with a page open.
type Browser struct {
	context.Context
	t *testing.T

	mu         sync.Mutex
	complaints []string
}

// Open opens an address, and waits for an element that a selector finds. Where there is no Chromium the test is
// skipped, or with STEPLM_BROWSER=require it fails.
func Open(t *testing.T, url, ready string) *Browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("STEPLM_BROWSER") == "require" {
			t.Fatal("STEPLM_BROWSER=require, and there is no chromium: `just setup chromium` installs it")
		}
		t.Skip("there is no chromium: `just setup chromium` installs it")
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.Headless,
		chromedp.WSURLReadTimeout(time.Minute)}
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // It refuses to have one as root.
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	b := &Browser{t: t}
	b.Context, cancel = chromedp.NewContext(ctx, chromedp.WithListener(b.listen))
	t.Cleanup(cancel)
	if _, err := chromedp.Call(b, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	b.Run(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(url), chromedp.WaitReady(ready))
	return b
}

// listen keeps what the page's console says, and what should not happen.
func (b *Browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		b.complaints = append(b.complaints, e.Entry.Text)
	case *runtime.EventConsoleAPICalled:
		b.complaints = append(b.complaints, "console."+e.Type.String())
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, fmt.Sprintf("%s %+v", e.ExceptionDetails.Text,
			e.ExceptionDetails.Exception))
	case *dialogs.EventJavascriptDialogOpening:
		b.complaints = append(b.complaints, "a dialog: "+e.Message)
	}
}

// Run has the browser do something.
func (b *Browser) Run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// Enter presses the Enter key as a keyboard does: what the page prevents does not happen, which a key event and a
// character by themselves would not heed.
func (b *Browser) Enter() {
	b.t.Helper()
	for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown,
		input.DispatchKeyEventTypeKeyUp} {
		p := input.DispatchKeyEventParams{Type: kind, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13}
		if kind == input.DispatchKeyEventTypeKeyDown {
			p.Text = "\r"
		}
		if _, err := chromedp.Call(b, input.DispatchKeyEvent, p); err != nil {
			b.t.Fatal(err)
		}
	}
}

// Until waits for an expression in the page to be true.
func (b *Browser) Until(expression string) {
	b.t.Helper()
	if _, err := chromedp.Run(b, chromedp.Poll[bool](expression,
		chromedp.WithPollingTimeout(time.Minute))); err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
}

// Complaints are what the page complained of since it was asked last.
func (b *Browser) Complaints() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.complaints
	b.complaints = nil
	return strings.Join(list, "; ")
}

// Quiet checks that the page complained of nothing.
func (b *Browser) Quiet() {
	b.t.Helper()
	if list := b.Complaints(); list != "" {
		b.t.Errorf("the page complains: %s", list)
	}
}

// Holds checks that an element's text has parts.
func (b *Browser) Holds(selector string, parts ...string) {
	b.t.Helper()
	text, err := chromedp.Run(b, chromedp.Text(selector))
	if err != nil {
		b.t.Fatalf("%s: %v", selector, err)
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			b.t.Errorf("%s: %q does not hold %q", selector, text, part)
		}
	}
}

// Ask is the value of an expression in the page.
func Ask[T any](b *Browser, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}
