package serve

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
)

var (
	//go:embed page/chat.html
	pageHTML string
	//go:embed page/chat.css
	pageCSS string
	//go:embed page/chat.js
	pageScript string
)

// pageText is the page, whole, and the policy under which its own style and script run, and no others.
var pageText = sync.OnceValues(func() (text, policy string) {
	text = strings.NewReplacer("/*style*/", pageCSS, "/*script*/", pageScript).Replace(pageHTML)
	hash := func(part string) string {
		sum := sha256.Sum256([]byte(part))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return text, "default-src 'none'; style-src " + hash(pageCSS) + "; script-src " + hash(pageScript) +
		"; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
})

// page is where a person talks to the model in a browser.
func (s *Server) page(w http.ResponseWriter, _ *http.Request) error {
	text, policy := pageText()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(text)) // A client that is gone needs no page.
	return nil
}
