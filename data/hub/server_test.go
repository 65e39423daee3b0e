package hub

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	testCommit = "0123456789abcdef0123456789abcdef01234567"
	testToken  = "hf_secret"
)

// fakeHub is a hub with a CDN on another port to which every download is redirected.
type fakeHub struct {
	hub, cdn *httptest.Server
	content  map[string]string // by path
	listing  []string          // entries, in place of content's; one page each
	api      func(w http.ResponseWriter, r *http.Request) (done bool)
	serve    func(attempt int, w http.ResponseWriter, r *http.Request) (done bool)

	mu       sync.Mutex
	attempts map[string]int
	ranges   []string // of the CDN's requests
	leaked   bool     // the CDN saw a token
	bare     int      // requests to the hub without the token
}

func newFakeHub(t *testing.T, content map[string]string) *fakeHub {
	f := &fakeHub{content: content, attempts: map[string]int{}}
	f.hub, f.cdn = httptest.NewServer(http.HandlerFunc(f.hubServe)), httptest.NewServer(http.HandlerFunc(f.cdnServe))
	t.Cleanup(f.hub.Close)
	t.Cleanup(f.cdn.Close)
	return f
}

func (f *fakeHub) client(t *testing.T) *Client {
	return &Client{Endpoint: f.hub.URL, Token: testToken, Cache: t.TempDir(), Retries: 3, Backoff: time.Millisecond,
		Stall: 5 * time.Second}
}

func (f *fakeHub) hubServe(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	if r.Header.Get("Authorization") != "Bearer "+testToken {
		f.bare++
	}
	f.mu.Unlock()
	if f.api != nil && f.api(w, r) {
		return
	}
	switch {
	case r.URL.Path == "/api/datasets/o/n/revision/main":
		fmt.Fprintf(w, `{"sha": %q}`, testCommit)
	case strings.HasPrefix(r.URL.Path, "/api/datasets/o/n/tree/"+testCommit):
		pages := f.listing
		if pages == nil {
			for path, content := range f.content {
				pages = append(pages, lfsEntry(path, content))
			}
			pages = []string{strings.Join(pages, ",")}
		}
		page := 0
		fmt.Sscan(r.URL.Query().Get("cursor"), &page)
		if page+1 < len(pages) {
			w.Header().Set("Link", fmt.Sprintf(`<%s?recursive=1&cursor=%d>; rel="next"`, r.URL.Path, page+1))
		}
		fmt.Fprintf(w, "[%s]", pages[page])
	case strings.HasPrefix(r.URL.Path, "/datasets/o/n/resolve/"+testCommit+"/"):
		http.Redirect(w, r, f.cdn.URL+"/"+strings.TrimPrefix(r.URL.EscapedPath(), "/datasets/o/n/resolve/"+testCommit+
			"/"), http.StatusFound)
	default:
		http.NotFound(w, r)
	}
}

func (f *fakeHub) cdnServe(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	f.mu.Lock()
	f.leaked = f.leaked || r.Header.Get("Authorization") != ""
	attempt := f.attempts[path]
	f.attempts[path]++
	f.ranges = append(f.ranges, r.Header.Get("Range"))
	f.mu.Unlock()
	if f.serve != nil && f.serve(attempt, w, r) {
		return
	}
	serveContent(w, r, f.content[path], `"v1"`)
}

func serveContent(w http.ResponseWriter, r *http.Request, content, etag string) {
	w.Header().Set("ETag", etag)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
}

// dropAfter promises all of the content and ends the connection after n bytes.
func dropAfter(w http.ResponseWriter, content, etag string, n int) {
	w.Header().Set("ETag", etag)
	w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	w.Write([]byte(content[:n]))
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func sha256Of(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func lfsEntry(path, content string) string {
	return fmt.Sprintf(`{"type":"file","path":%q,"oid":"%040d","size":130,"lfs":{"oid":%q,"size":%d}}`, path, 0,
		sha256Of(content), len(content))
}

func gitEntry(path, content string) string {
	sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(content), content))
	return fmt.Sprintf(`{"type":"file","path":%q,"oid":"%x","size":%d}`, path, sum, len(content))
}
