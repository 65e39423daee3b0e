package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	testSource = Source{Owner: "o", Name: "n", Revision: "main"}
	longText   = strings.Repeat("0123456789abcdef", 64<<10) // 1 MiB
)

// only is the one file's content after a fetch.
func only(t *testing.T, s Snapshot) string {
	t.Helper()
	if len(s.Files) != 1 {
		t.Fatalf("files %v", s.Files)
	}
	content, err := os.ReadFile(s.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestFetch(t *testing.T) {
	f := newFakeHub(t, nil)
	contents := map[string]string{"d/b.parquet": "bee", "d/a #1%.parquet": "eh", "d/e/c.parquet": longText}
	f.content = contents
	f.listing = []string{
		lfsEntry("d/e/c.parquet", longText) + `,{"type":"directory","path":"d/e","oid":"x","size":0}`,
		gitEntry("d/b.parquet", "bee") + "," + gitEntry("d/readme.md", "no"),
		lfsEntry("d/a #1%.parquet", "eh"),
	}
	c := f.client(t)
	source := testSource
	source.Path = "d"
	var done, total int64
	snapshot, err := c.Fetch(t.Context(), source, Options{Parallel: 3,
		Progress: func(d, n int64) { done, total = d, n }})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(c.Cache, "datasets--o--n", "snapshots", testCommit)
	if snapshot.Dir != filepath.Join(dir, "d") || snapshot.Commit != testCommit || snapshot.Reused != 0 ||
		len(snapshot.Files) != 3 {
		t.Errorf("%+v", snapshot)
	}
	if done != snapshot.Bytes || total != snapshot.Bytes || done != int64(len(longText)+5) {
		t.Errorf("progress ended at %d of %d, snapshot has %d bytes", done, total, snapshot.Bytes)
	}
	for path, want := range contents {
		if got, err := os.ReadFile(filepath.Join(dir, path)); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
	}
	link, err := os.Readlink(filepath.Join(dir, "d/e/c.parquet"))
	if want := "../../../../blobs/" + sha256Of(longText); err == nil && filepath.ToSlash(link) != want {
		t.Errorf("link to %s, want %s", link, want)
	}
	if ref, err := os.ReadFile(filepath.Join(c.Cache, "datasets--o--n/refs/main")); err != nil ||
		string(ref) != testCommit {
		t.Errorf("refs/main: %q, %v", ref, err)
	}
	if f.leaked {
		t.Error("the token went to another host")
	}
	if f.bare > 0 {
		t.Errorf("%d requests to the hub without the token", f.bare)
	}

	// A second time nothing is downloaded; nor when only the blobs are left.
	f.serve = func(int, http.ResponseWriter, *http.Request) bool { t.Error("downloaded again"); return false }
	for range 2 {
		if snapshot, err = c.Fetch(t.Context(), source, Options{}); err != nil || snapshot.Reused != 3 {
			t.Errorf("%d reused, %v", snapshot.Reused, err)
		}
		if err := os.RemoveAll(filepath.Join(c.Cache, "datasets--o--n/snapshots")); err != nil {
			t.Fatal(err)
		}
	}
	if snapshot, err = c.Fetch(t.Context(), source, Options{Shards: 2}); err != nil || len(snapshot.Files) != 2 ||
		filepath.Base(snapshot.Files[0]) != "a #1%.parquet" {
		t.Errorf("--shards 2: %v, %v", snapshot.Files, err)
	}
}

// What a server may do wrong, and the fetch still gets the file.
func TestFetchOvercomes(t *testing.T) {
	other := strings.Repeat("x", len(longText))
	cases := map[string]func(attempt int, w http.ResponseWriter, r *http.Request) bool{
		"drops twice": func(attempt int, w http.ResponseWriter, r *http.Request) bool {
			if attempt == 0 {
				dropAfter(w, longText, `"v1"`, 500_000)
			}
			return false
		},
		"429, then 503": func(attempt int, w http.ResponseWriter, r *http.Request) bool {
			if attempt > 1 {
				return false
			}
			w.Header().Set("Retry-After", "0")
			w.WriteHeader([]int{429, 503}[attempt])
			return true
		},
		"another version first": func(attempt int, w http.ResponseWriter, r *http.Request) bool {
			if attempt == 0 {
				dropAfter(w, other, `"v0"`, 500_000)
			}
			return false
		},
		"another version first, If-Range ignored": func(attempt int, w http.ResponseWriter, r *http.Request) bool {
			if attempt == 0 {
				dropAfter(w, other, `"v0"`, 500_000)
			}
			r.Header.Del("If-Range")
			return false
		},
		"another version first, without ETags": func(attempt int, w http.ResponseWriter, r *http.Request) bool {
			if attempt == 0 {
				dropAfter(w, other, "", 500_000)
			}
			r.Header.Del("If-Range")
			serveContent(w, r, longText, "")
			return true
		},
		"ranges ignored": func(attempt int, w http.ResponseWriter, r *http.Request) bool {
			if attempt == 0 {
				dropAfter(w, longText, `"v1"`, 500_000)
			}
			r.Header.Del("Range")
			return false
		},
		"wrong range": func(attempt int, w http.ResponseWriter, r *http.Request) bool {
			if attempt == 0 {
				dropAfter(w, longText, `"v1"`, 500_000)
			}
			if attempt == 1 {
				r.Header.Set("Range", "bytes=600001-")
			}
			return false
		},
		"short once": func(attempt int, w http.ResponseWriter, r *http.Request) bool {
			if attempt > 0 {
				return false
			}
			serveContent(w, r, longText[:1000], `"v1"`)
			return true
		},
		"long once": func(attempt int, w http.ResponseWriter, r *http.Request) bool {
			if attempt > 0 {
				return false
			}
			serveContent(w, r, longText+"more", `"v1"`)
			return true
		},
	}
	for name, serve := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFakeHub(t, map[string]string{"a.parquet": longText})
			f.serve = serve
			var done int64
			whole := 0
			snapshot, err := f.client(t).Fetch(t.Context(), testSource, Options{Progress: func(n, total int64) {
				if done = n; done == total {
					whole++
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			if only(t, snapshot) != longText {
				t.Error("other content")
			}
			if done != int64(len(longText)) {
				t.Errorf("progress ends at %d", done)
			}
			// Where ETags or ranges tell versions apart, no mixture waits for the hash to tell.
			if whole != 1 && !strings.Contains(name, "without ETags") {
				t.Errorf("the file was complete %d times", whole)
			}
			if name == "another version first" && len(f.ranges) != 2 {
				t.Errorf("%d requests: with If-Range two do", len(f.ranges))
			}
			if f.leaked {
				t.Error("the token went to another host")
			}
		})
	}
}

// What cannot be overcome is one line that says what to do, and no blob.
func TestFetchFails(t *testing.T) {
	status := func(code int) func(int, http.ResponseWriter, *http.Request) bool {
		return func(_ int, w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(code); return true }
	}
	serve := func(content string) func(int, http.ResponseWriter, *http.Request) bool {
		return func(_ int, w http.ResponseWriter, r *http.Request) bool {
			serveContent(w, r, content, `"v1"`)
			return true
		}
	}
	cases := map[string]struct {
		serve func(int, http.ResponseWriter, *http.Request) bool
		want  string
	}{
		"wrong SHA-256": {serve("other"), "listed is " + sha256Of("right")},
		"always short":  {serve("rig"), "3 of 5 bytes"},
		"always long":   {serve("righteous"), "more than the 5 bytes"},
		"401":           {status(401), "check HF_TOKEN"},
		"403":           {status(403), "accept the dataset's conditions"},
		"404":           {status(404), "no such dataset, revision or path"},
		"429":           {status(429), "429 Too Many Requests (4 attempts)"},
		"500":           {status(500), "500 Internal Server Error (4 attempts)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFakeHub(t, map[string]string{"a.parquet": "right"})
			f.serve = c.serve
			client := f.client(t)
			_, err := client.Fetch(t.Context(), testSource, Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "a.parquet") ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("%v; want %q", err, c.want)
			}
			if strings.Contains(fmt.Sprint(err), testToken) {
				t.Error("the error shows the token")
			}
			if _, err := os.Stat(filepath.Join(client.Cache, "datasets--o--n/blobs",
				sha256Of("right"))); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a blob is there: %v", err)
			}
		})
	}
}

func TestListFails(t *testing.T) {
	cases := map[string]struct {
		code         int
		token, reply string
		want         string
	}{
		"401, no token": {401, "", "", "set HF_TOKEN"},
		"401, token":    {401, testToken, "", "the token is not valid"},
		"403":           {403, testToken, "", "accept the dataset's conditions"},
		"404":           {404, testToken, "", "no such dataset"},
		"not JSON":      {200, "", "<html>", "is HF_ENDPOINT right?"},
		"no commit":     {200, "", `{"sha":"../../x"}`, "for the commit"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFakeHub(t, nil)
			f.api = func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(c.code)
				fmt.Fprint(w, c.reply)
				return true
			}
			client := f.client(t)
			client.Token = c.token
			if _, _, err := client.List(t.Context(), testSource); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

// A listing whose pages lead back to one of them ends at once, and says so.
func TestListEndsWhereItLinksToItself(t *testing.T) {
	for again, want := range map[string]string{"1": "after page 2 comes page 2 again",
		"": "after page 2 comes page 1 again"} {
		f := newFakeHub(t, nil)
		pages := 0
		f.api = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/tree/") {
				return false
			}
			if pages++; pages > 10 {
				t.Error("the listing is asked for ever")
				return false
			}
			next := r.URL.Path + "?recursive=1&cursor=1"
			if again == "" && r.URL.Query().Get("cursor") == "1" {
				next = r.URL.Path + "?recursive=1"
			}
			w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next"`, next))
			fmt.Fprintf(w, "[%s]", lfsEntry("a.parquet", "x"))
			return true
		}
		_, _, err := f.client(t).List(t.Context(), Source{Owner: "o", Name: "n", Revision: "main"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}

// No name in a listing leads out of the cache.
func TestListHostileNames(t *testing.T) {
	for _, entry := range []string{
		lfsEntry("../../../x.parquet", "a"), lfsEntry("/x.parquet", "a"), lfsEntry("d/../../x.parquet",
			"a"), lfsEntry(`..\x.parquet`, "a"),
		lfsEntry("C:x.parquet", "a"), lfsEntry("a//x.parquet", "a"),
		`{"type":"file","path":"x\u0000.parquet","oid":"0123456789012345678901234567890123456789","size":1}`,
		`{"type":"file","path":"x.parquet","oid":"../../../../x","size":1}`,
		`{"type":"file","path":"x.parquet","oid":"0123456789012345678901234567890123456789","size":-1}`,
		`{"type":"file","path":"x.parquet","oid":"","size":1,"lfs":{"oid":"../x","size":1}}`,
	} {
		f := newFakeHub(t, nil)
		f.listing = []string{entry}
		c := f.client(t)
		if _, err := c.Fetch(t.Context(), testSource, Options{}); err == nil ||
			!strings.Contains(err.Error(), "cannot be") {
			t.Errorf("%s: %v", entry, err)
		}
		if left, err := os.ReadDir(c.Cache); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", entry, left, err)
		}
	}
}

// A fetch that ends midway leaves what has arrived, and the next asks for the rest.
func TestFetchResumes(t *testing.T) {
	f := newFakeHub(t, map[string]string{"a.parquet": longText})
	c := f.client(t)
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	defer close(release)
	f.serve = func(attempt int, w http.ResponseWriter, r *http.Request) bool {
		if attempt > 0 {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(longText)))
		w.Write([]byte(longText[:500_000]))
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return true
	}
	_, err := c.Fetch(ctx, testSource, Options{Progress: func(done, _ int64) {
		if done == 500_000 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	blob := filepath.Join(c.Cache, "datasets--o--n/blobs", sha256Of(longText))
	if info, err := os.Stat(blob + ".incomplete"); err != nil || info.Size() != 500_000 {
		t.Fatalf("%v, %v", info, err)
	}
	snapshot, err := c.Fetch(t.Context(), testSource, Options{})
	if err != nil || only(t, snapshot) != longText {
		t.Fatal(err)
	}
	if got := f.ranges[1]; got != "bytes=500000-" {
		t.Errorf("resumed with range %q", got)
	}

	// What was left is damaged, or too long: never mixed in.
	for _, left := range []string{strings.Repeat("z", 500_000), longText + "z", strings.Repeat("z", len(longText))} {
		if err := errors.Join(os.Remove(blob), os.Remove(snapshot.Files[0]),
			os.WriteFile(blob+".incomplete", []byte(left), 0o644)); err != nil {
			t.Fatal(err)
		}
		if snapshot, err = c.Fetch(t.Context(), testSource, Options{}); err != nil || only(t, snapshot) != longText {
			t.Errorf("after %d damaged bytes: %v", len(left), err)
		}
	}
}

// A server that goes silent is left and asked again.
func TestFetchStalls(t *testing.T) {
	f := newFakeHub(t, map[string]string{"a.parquet": longText})
	f.serve = func(attempt int, w http.ResponseWriter, r *http.Request) bool {
		if attempt == 0 {
			w.Header().Set("Content-Length", fmt.Sprint(len(longText)))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		}
		return false
	}
	c := f.client(t)
	c.Stall = 300 * time.Millisecond
	snapshot, err := c.Fetch(t.Context(), testSource, Options{})
	if err != nil || only(t, snapshot) != longText {
		t.Error(err)
	}
}

func TestRetryAfter(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"": 0, "2": 2 * time.Second, "99999": maxRetryAfter, "-1": 0, "soon": 0,
		"Mon, 02 Jan 2006 15:04:05 GMT": 0, "Mon, 02 Jan 2990 15:04:05 GMT": maxRetryAfter,
	} {
		if got := retryAfter(s); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}

func TestFromEnvironment(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "token"), []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE"} {
		t.Setenv(name, "")
	}
	t.Setenv("HF_HOME", home)
	c, err := FromEnvironment()
	if err != nil || c.Token != "from-file" || c.Cache != filepath.Join(home, "hub") || c.Endpoint != defaultEndpoint {
		t.Errorf("%+v, %v", c, err)
	}
	t.Setenv("HF_TOKEN", "from-variable")
	t.Setenv("HF_HUB_CACHE", "elsewhere")
	t.Setenv("HF_ENDPOINT", "http://mirror/")
	c, err = FromEnvironment()
	if err != nil || c.Token != "from-variable" || c.Cache != "elsewhere" || c.Endpoint != "http://mirror" {
		t.Errorf("%+v, %v", c, err)
	}
	t.Setenv("HF_ENDPOINT", "mirror")
	if _, err = FromEnvironment(); err == nil {
		t.Error("an endpoint without a scheme is taken")
	}
}

// A stream's files arrive in the order asked for; the end of a file can be had
// before, and an error reaches those who wait.
func TestStream(t *testing.T) {
	content := map[string]string{}
	for i := range 4 {
		content[fmt.Sprintf("d/%d.parquet", i)] = strings.Repeat(fmt.Sprint(i), 5000) + "tail" + fmt.Sprint(i)
	}
	f := newFakeHub(t, content)
	c := f.client(t)
	source := Source{Owner: "o", Name: "n", Path: "d", Revision: "main"}
	st, err := c.Stream(t.Context(), source, 3)
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Paths) != 3 || st.Size(1) != 5005 || st.Holds(1) {
		t.Fatalf("%v", st.Paths)
	}
	if tail, err := st.Tail(t.Context(), 1, 5); err != nil || string(tail) != "tail1" {
		t.Errorf("%q, %v", tail, err)
	}
	if tail, err := st.Tail(t.Context(), 2, 1<<20); err != nil || string(tail) != content["d/2.parquet"] {
		t.Errorf("%d bytes, %v", len(tail), err)
	}
	f.serve = func(attempt int, w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/0.parquet") {
			http.Error(w, "", http.StatusNotFound)
			return true
		}
		w.WriteHeader(http.StatusOK) // no ranges
		w.Write([]byte(content[strings.TrimPrefix(r.URL.Path, "/")]))
		return true
	}
	if tail, err := st.Tail(t.Context(), 1, 5); err != nil || string(tail) != "tail1" {
		t.Errorf("from a server without ranges: %q, %v", tail, err)
	}
	f.serve = func(attempt int, w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/0.parquet") {
			http.Error(w, "", http.StatusNotFound)
			return true
		}
		return false
	}
	ended := make(chan error, 1)
	var last int64
	go func() {
		ended <- st.Run(t.Context(), []int{2, 0, 1}, func(done, total int64) { last = done*10 + total - 3*5005 })
	}()
	if err := st.Wait(t.Context(), st.Paths[2]); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(st.Paths[2]); err != nil || string(b) != content["d/2.parquet"] || !st.Holds(2) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	for _, i := range []int{0, 1} {
		if err := st.Wait(t.Context(), st.Paths[i]); err == nil || !strings.Contains(err.Error(), "d/0.parquet") {
			t.Errorf("waiting for file %d: %v", i, err)
		}
	}
	if err := <-ended; err == nil {
		t.Error("a file that cannot be had gave no error")
	}
	if err := st.Wait(t.Context(), st.Paths[2]); err != nil {
		t.Errorf("a file that came before the error: %v", err)
	}
	if last != 10*5005 {
		t.Errorf("progress %d", last)
	}
	if err := st.Wait(t.Context(), "elsewhere"); err == nil {
		t.Error("waited for a file that is none of them")
	}
}

// Of one file the folder is listed that it lies in, also one whose name begins with a dot.
func TestListOfOneFile(t *testing.T) {
	for file, folder := range map[string]string{"a.parquet": "", "x/a.parquet": "/x", ".x/a.parquet": "/.x",
		"x/.y/a.parquet": "/x/.y"} {
		f := newFakeHub(t, map[string]string{file: "a"})
		listed := ""
		f.api = func(_ http.ResponseWriter, r *http.Request) bool {
			if _, below, ok := strings.Cut(r.URL.Path, "/tree/"+testCommit); ok {
				listed = below
			}
			return false
		}
		_, files, err := f.client(t).List(t.Context(), Source{Owner: "o", Name: "n", Path: file, Revision: "main"})
		if err != nil || len(files) != 1 || listed != folder {
			t.Errorf("%s: %d files of the folder %q, want %q; error %v", file, len(files), listed, folder, err)
		}
	}
}

// On a disk without links, as exFAT, the files themselves are where they are looked for.
func TestWithoutLinks(t *testing.T) {
	defer func(s, h func(string, string) error) { symbolic, hard = s, h }(symbolic, hard)
	refuse := func(string, string) error { return fs.ErrPermission }
	symbolic, hard = refuse, refuse
	f := newFakeHub(t, map[string]string{"0.parquet": "a", "1.parquet": "b"})
	c := f.client(t)
	for i, reused := range []int{0, 2} {
		s, err := c.Fetch(t.Context(), Source{Owner: "o", Name: "n", Revision: "main"}, Options{})
		if err != nil || s.Reused != reused {
			t.Fatalf("fetch %d: %d reused, error %v", i+1, s.Reused, err)
		}
		for j, path := range s.Files {
			if text, err := os.ReadFile(path); err != nil || string(text) != string(rune('a'+j)) {
				t.Errorf("%s: %q, %v", path, text, err)
			}
		}
	}
}

// Who waits for a file that was not among those to fetch hears of it once there are no more.
func TestStreamOfSomeFiles(t *testing.T) {
	f := newFakeHub(t, map[string]string{"0.parquet": "a", "1.parquet": "b"})
	st, err := f.client(t).Stream(t.Context(), Source{Owner: "o", Name: "n", Revision: "main"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Run(t.Context(), []int{0}, nil); err != nil {
		t.Fatal(err)
	}
	if err := st.Wait(t.Context(), st.Paths[0]); err != nil {
		t.Errorf("waiting for what was fetched: %v", err)
	}
	if err := st.Wait(t.Context(), st.Paths[1]); err == nil || !strings.Contains(err.Error(), "1.parquet") {
		t.Errorf("waiting for what was not: %v", err)
	}
}

// Files of JSON are taken where there is no Parquet, or where one is named; what says something of a dataset is not.
func TestFetchJSON(t *testing.T) {
	const records = `[{"instruction": "a", "output": "b"}]`
	content := map[string]string{"alpaca.json": records, "dataset_infos.json": "{}", "more/b.jsonl.gz": "x",
		"README.md": "#"}
	for _, c := range []struct {
		path, parquet string
		want          []string
	}{
		{"", "", []string{"alpaca.json", "more/b.jsonl.gz"}}, {"alpaca.json", "", []string{"alpaca.json"}},
		{"", "data/train.parquet", []string{"data/train.parquet"}},
		{"alpaca.json", "data/train.parquet", []string{"alpaca.json"}},
	} {
		all := maps.Clone(content)
		if c.parquet != "" {
			all[c.parquet] = "PAR1"
		}
		client := newFakeHub(t, all).client(t)
		s, err := client.Fetch(t.Context(), Source{Owner: "o", Name: "n", Path: c.path, Revision: "main"}, Options{})
		if err != nil {
			t.Errorf("%q: %v", c.path, err)
			continue
		}
		var got []string
		for _, f := range s.Files {
			_, name, _ := strings.Cut(filepath.ToSlash(f), testCommit+"/")
			got = append(got, name)
			if text, err := os.ReadFile(f); err != nil || string(text) != all[name] {
				t.Errorf("%s: %q, %v", name, text, err)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, want %v", c.path, got, c.want)
		}
	}
}
