package train

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data"
	"steplm/data/datatest"
)

// A run with --stream trains while a file is yet to come, and does what a run
// does that has all files from the beginning. A file without rows is not fetched.
func TestStream(t *testing.T) {
	m := clitest.NewMaterial(t)
	paths, err := filepath.Glob(m.Train)
	if err != nil || len(paths) != 2 {
		t.Fatal(paths, err)
	}
	empty := filepath.Join(t.TempDir(), "empty.parquet") // before the others, by name
	if err := datatest.WriteShard(empty, nil, datatest.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	content := map[string][]byte{}
	var listing []string
	for _, p := range append([]string{empty}, paths...) {
		b := []byte(clitest.Contents(t, p))
		name := "sample/" + filepath.Base(p)
		content[name] = b
		listing = append(listing,
			fmt.Sprintf(`{"type":"file","path":%q,"oid":"","size":9,"lfs":{"oid":"%x","size":%d}}`, name,
				sha256.Sum256(b), len(b)))
	}
	const commit = "0123456789abcdef0123456789abcdef01234567"
	run := clitest.NewRun(t)
	var mu sync.Mutex
	var whole []string // files asked for from their beginning
	late := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, resolve := strings.CutPrefix(r.URL.Path, "/datasets/o/n/resolve/"+commit+"/")
		switch {
		case r.URL.Path == "/api/datasets/o/n/revision/main":
			fmt.Fprintf(w, `{"sha":%q}`, commit)
		case r.URL.Path == "/api/datasets/o/n/tree/"+commit+"/sample":
			fmt.Fprintf(w, "[%s]", strings.Join(listing, ","))
		case resolve:
			if from := r.Header.Get("Range"); from == "" || from == "bytes=0-" {
				mu.Lock()
				whole = append(whole, name)
				second := len(whole) == 2
				mu.Unlock()
				for wait := 0; second; wait++ { // until the run has made a step
					b, _ := os.ReadFile(filepath.Join(run, "metrics.jsonl"))
					if strings.Contains(string(b), `"step":1,`) {
						break
					}
					if wait == 600 {
						mu.Lock()
						late = name
						mu.Unlock()
						break
					}
					time.Sleep(50 * time.Millisecond)
				}
			}
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(content[name])))
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	t.Setenv("HF_ENDPOINT", server.URL)
	t.Setenv("HF_HOME", t.TempDir())
	for _, name := range []string{"HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE"} {
		t.Setenv(name, "")
	}
	flags := func(run string, more ...string) []string {
		return m.Pretrain(run, append([]string{"--device", "host", "--cache", t.TempDir()}, more...)...)
	}
	const source = "hf://datasets/o/n/sample"
	clitest.Succeed(t, "", flags(run, "--data", source, "--stream")...)
	shards, err := data.Open(m.Train)
	if err != nil {
		t.Fatal(err)
	}
	if late != "" {
		t.Errorf("the run waited for %s before it trained", late)
	}
	if want := "sample/" + filepath.Base(shards.Files[shards.Order(1)[0]]); len(whole) == 0 || whole[0] != want {
		t.Errorf("fetched %v, the first that is read is %s", whole, want)
	}
	plain := clitest.NewRun(t)
	clitest.Succeed(t, "", flags(plain, "--data", m.Train)...)
	if got, want := clitest.LossLines(t, run), clitest.LossLines(t, plain); got != want || want == "" {
		t.Errorf("losses\n%s\nwithout --stream\n%s", got, want)
	}
	// What was streamed goes on without it, and the other way round.
	clitest.Succeed(t, "", flags(run, "--data", m.Train, "--resume", run)...)
	clitest.Succeed(t, "", flags(plain, "--data", source, "--stream", "--resume", plain)...)

	out := clitest.Succeed(t, "", flags(clitest.NewRun(t), "--data", source, "--shards", "2")...)
	if !strings.Contains(out, "1 shard, ") {
		t.Errorf("--shards 2: %q", out)
	}
	clitest.Fail(t, 2, []string{"--stream", "hf://"}, flags(clitest.NewRun(t), "--stream")...)
	clitest.Fail(t, 2, []string{"--shards 1", "hf://"}, flags(clitest.NewRun(t), "--shards", "1")...)
	clitest.Fail(t, 1, []string{"no such dataset"}, flags(clitest.NewRun(t), "--data", "hf://datasets/o/other",
		"--stream")...)
}

// Files of JSON have no footer that says how many rows they have: --stream refuses them until they are in the cache.
func TestStreamOfJSON(t *testing.T) {
	m := clitest.NewMaterial(t)
	var files []clitest.HubFile
	for _, name := range []string{"a", "b"} {
		var lines strings.Builder
		for i := range 40 {
			fmt.Fprintf(&lines, "{\"text\":\"line %d of the file %s\"}\n", i, name)
		}
		files = append(files, clitest.HubFile{Repo: "o/n", Revision: "main", Path: name + ".jsonl",
			Content: []byte(lines.String())})
	}
	clitest.NewHub(t, files)
	flags := func(run string, more ...string) []string {
		return m.Pretrain(run, append([]string{"--device", "host", "--cache", t.TempDir(), "--data",
			"hf://datasets/o/n"}, more...)...)
	}
	clitest.Fail(t, 2, []string{"--stream", "a.jsonl", "only Parquet"}, flags(clitest.NewRun(t), "--stream")...)
	plain, streamed := clitest.NewRun(t), clitest.NewRun(t)
	clitest.Succeed(t, "", flags(plain)...)
	clitest.Succeed(t, "", flags(streamed, "--stream")...)
	if got, want := clitest.LossLines(t, streamed), clitest.LossLines(t, plain); got != want || want == "" {
		t.Errorf("losses\n%s\nwithout --stream\n%s", got, want)
	}
}
