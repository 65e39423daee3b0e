package tokens

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data"
	"steplm/data/datatest"
)

// What is fetched is found where the command says, by what reads training data.
func TestDataFetch(t *testing.T) {
	shard, err := os.ReadFile("../../../../data/corpus/validation.parquet")
	if err != nil {
		t.Fatal(err)
	}
	const commit = "0123456789abcdef0123456789abcdef01234567"
	downloads := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/datasets/o/n/revision/main":
			fmt.Fprintf(w, `{"sha":%q}`, commit)
		case "/api/datasets/o/n/tree/" + commit + "/sample":
			fmt.Fprintf(w, `[{"type":"file","path":"sample/0.parquet","oid":"","size":9,"lfs":{"oid":"%x","size":%d}}]`,
				sha256.Sum256(shard), len(shard))
		case "/datasets/o/n/resolve/" + commit + "/sample/0.parquet":
			downloads++
			w.Write(shard)
		default:
			http.Error(w, "", http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	home := t.TempDir()
	t.Setenv("HF_ENDPOINT", server.URL)
	t.Setenv("HF_HOME", home)
	for _, name := range []string{"HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE"} {
		t.Setenv(name, "")
	}

	want := filepath.Join(home, "hub/datasets--o--n/snapshots", commit, "sample")
	if got := clitest.Succeed(t, "", "data", "fetch", "hf://datasets/o/n/sample"); got != want+"\n" {
		t.Errorf("printed %q, want %q", got, want)
	}
	shards, err := data.Open(want)
	if err != nil || len(shards.Files) != 1 {
		t.Errorf("%v, %v", shards, err)
	}

	var printed struct {
		Dir    string
		Commit string
		Bytes  int
		Reused int `json:"reused_files"`
	}
	if err := json.Unmarshal([]byte(clitest.Succeed(t, "", "data", "fetch", "--json", "hf://datasets/o/n/sample")),
		&printed); err != nil {
		t.Fatal(err)
	}
	if printed.Dir != want || printed.Commit != commit || printed.Bytes != len(shard) || printed.Reused != 1 ||
		downloads != 1 {
		t.Errorf("%+v after %d downloads", printed, downloads)
	}

	// Wherever shards are asked for, a source stands for its directory.
	tok := filepath.Join(t.TempDir(), "tokenizer.json")
	clitest.Succeed(t, "", "tokenizer", "train", "--data", "hf://datasets/o/n/sample", "--vocab", "300", "--out", tok)
	run := clitest.NewRun(t)
	clitest.Succeed(t, "", "pretrain", "--method", "vanilla", "--hidden", "16", "--ffn", "24", "--layers", "1",
		"--heads", "2",
		"--max-seq-len", "64", "--steps", "1", "--batch-size", "2",
		"--seq-len", "16", "--tokenizer", tok, "--data", "hf://datasets/o/n/sample", "--out", run, "--device", "host")
	if p := clitest.Perplexity(t, "--model", run, "--data", "hf://datasets/o/n/sample", "--max-tokens", "64",
		"--device",
		"host"); p.Results[0].Tokens != 64 {
		t.Errorf("%+v", p)
	}
	if downloads != 1 {
		t.Errorf("%d downloads", downloads)
	}
	_, stderr, code := clitest.Call(t, "", "tokenizer", "train", "--data", "hf://models/o/n", "--vocab", "300", "--out",
		tok)
	clitest.CheckFailure(t, "a source of another kind", stderr, code, 2, "hf://datasets/OWNER/NAME")

	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"hf://datasets/o/other", 1, "set HF_TOKEN"},
		{"/some/directory", 2, "hf://datasets/OWNER/NAME"},
		{"hf://datasets/o/n/sample --text-column content", 1, `no column "content"; the file has text`},
		{"hf://datasets/o/n --shards -1", 2, "--shards"},
		{"hf://datasets/o/n --parallel 0", 2, "--parallel"},
	} {
		stdout, stderr, code := clitest.Call(t, "", append([]string{"data", "fetch"}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 || stdout != "" {
			t.Errorf("%s: code %d, %q", c.args, code, stderr)
		}
	}
}

// What was fetched is read, and not what a folder of these files would be taken for, where a plain .json counts for
// nothing beside .jsonl; who asks for the folder is told.
func TestFetchedFilesOfTwoKinds(t *testing.T) {
	clitest.NewHub(t, []clitest.HubFile{
		{Repo: "o/n", Revision: "main", Path: "a.json",
			Content: []byte("{\"text\":\"one\"}\n{\"text\":\"two\"}\n")},
		{Repo: "o/n", Revision: "main", Path: "b.jsonl", Content: []byte("{\"text\":\"three\"}\n")},
	})
	out := clitest.Succeed(t, "", "tokenizer", "train", "--data", "hf://datasets/o/n", "--vocab", "260", "--out",
		filepath.Join(t.TempDir(), "tokenizer.json"))
	if !strings.Contains(out, "learnt from 3 documents") {
		t.Errorf("%q", out)
	}
	stdout, stderr, code := clitest.Call(t, "", "data", "fetch", "hf://datasets/o/n")
	if dir := strings.TrimSpace(stdout); code != 0 || dir == "" || !strings.Contains(stderr,
		dir+" is not read as these 2 files") || !strings.Contains(stderr, "hf://datasets/o/n") {
		t.Errorf("code %d, printed %q, warned %q", code, stdout, stderr)
	}
}

// A file of 0 rows is left out where others have some.
func TestDataFetchOfNoRows(t *testing.T) {
	dir := t.TempDir()
	var files []clitest.HubFile
	for path, rows := range map[string][]datatest.Row{"some/a.parquet": nil, "some/b.parquet": {{Text: "a"}},
		"none/a.parquet": nil} {
		at := filepath.Join(dir, filepath.Base(path))
		if err := datatest.WriteShard(at, rows, datatest.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(at)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, clitest.HubFile{Repo: "o/n", Revision: "main", Path: path, Content: content})
	}
	clitest.NewHub(t, files)
	clitest.Succeed(t, "", "data", "fetch", "hf://datasets/o/n/some", "--text-column", "text")
	clitest.Fail(t, 1, []string{"a.parquet", "no rows"}, "data", "fetch", "hf://datasets/o/n/none", "--text-column",
		"text")
	clitest.Fail(t, 1, []string{`no column "url2"`}, "data", "fetch", "hf://datasets/o/n/some",
		"--text-column", "url2")
}
