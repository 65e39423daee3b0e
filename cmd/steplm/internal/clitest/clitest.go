// Package clitest is what tests of the command and of its internal packages share.
package clitest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Golden compares text with a file of testdata, or writes it.
func Golden(t *testing.T, update bool, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// Entries are the names in a folder.
func Entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// Contents is a file as text.
func Contents(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// WellFormed checks that an image is XML with svg as its root.
func WellFormed(t *testing.T, image []byte) {
	t.Helper()
	d, first := xml.NewDecoder(bytes.NewReader(image)), true
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, image)
		}
		if e, ok := token.(xml.StartElement); ok && first {
			if first = false; e.Name.Local != "svg" || e.Name.Space != "http://www.w3.org/2000/svg" {
				t.Fatalf("the root is %v", e.Name)
			}
		}
	}
}
