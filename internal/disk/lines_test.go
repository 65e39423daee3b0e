package disk

import (
	"os"
	"path/filepath"
	"testing"
)

// What a kill left of a last line is gone when the file is opened to go on, and what is whole is there.
func TestOpenLines(t *testing.T) {
	for before, want := range map[string]string{
		"":                     "",
		"{\"a\":1}\n":          "{\"a\":1}\n",
		"{\"a\":1}\n{\"b\":2}": "{\"a\":1}\n{\"b\":2}\n",
		"{\"a\":1}\n{\"b\":":   "{\"a\":1}\n",
		"{\"a\":":              "",
		"no JSON\n{\"a\":1}\n": "no JSON\n{\"a\":1}\n",
	} {
		path := filepath.Join(t.TempDir(), "lines.jsonl")
		if before != "" {
			if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		f, content, err := OpenLines(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(content) != want {
			t.Errorf("%q: opened with %q, want %q", before, content, want)
		}
		if err := AppendLine(f, []byte("{}\n")); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != want+"{}\n" {
			t.Errorf("%q: after a line there is %q (%v)", before, after, err)
		}
	}
	if _, _, err := OpenLines(t.TempDir()); err == nil {
		t.Error("a folder is opened")
	}
}
