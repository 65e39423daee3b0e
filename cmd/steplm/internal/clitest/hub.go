package clitest

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
)

// HubFile is a file of a data set.
type HubFile struct {
	Repo, Revision string // OWNER/NAME; "main", or a branch such as refs/convert/parquet
	Path           string // with slashes
	Content        []byte
}

// Hub is a server in place of Hugging Face's, with data sets alone.
type Hub struct {
	mu        sync.Mutex
	downloads []string
}

// NewHub serves files, in the test's environment, with a cache of the test's own. What is not there is not found.
func NewHub(t *testing.T, files []HubFile) *Hub {
	t.Helper()
	const commit = "89abcdef0123456789abcdef0123456789abcdef"
	answers, listings := map[string][]byte{}, map[string][]string{}
	for _, f := range files {
		revision := "/api/datasets/" + f.Repo + "/revision/" + url.PathEscape(f.Revision)
		answers[revision] = fmt.Appendf(nil, `{"sha":%q}`, commit)
		answers["/datasets/"+f.Repo+"/resolve/"+commit+"/"+f.Path] = f.Content
		entry := fmt.Sprintf(`{"type":"file","path":%q,"oid":"","size":9,"lfs":{"oid":"%x","size":%d}}`, f.Path,
			sha256.Sum256(f.Content), len(f.Content))
		tree := "/api/datasets/" + f.Repo + "/tree/" + commit
		listings[tree] = append(listings[tree], entry)
		for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
			listings[tree+"/"+dir] = append(listings[tree+"/"+dir], entry)
		}
	}
	for tree, list := range listings {
		answers[tree] = []byte("[" + strings.Join(list, ",") + "]")
	}
	h := &Hub{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, there := answers[r.URL.EscapedPath()]
		if !there {
			http.NotFound(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/datasets/") {
			h.mu.Lock()
			h.downloads = append(h.downloads, r.URL.Path)
			h.mu.Unlock()
		}
		w.Write(answer)
	}))
	t.Cleanup(server.Close)
	t.Setenv("HF_ENDPOINT", server.URL)
	t.Setenv("HF_HOME", t.TempDir())
	for _, name := range []string{"HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE"} {
		t.Setenv(name, "")
	}
	return h
}

// Downloads are the files that were, in order.
func (h *Hub) Downloads() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.downloads)
}
