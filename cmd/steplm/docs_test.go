package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
)

// documents lists the pages of the repository's root and of docs, by their paths from the root.
func documents(t *testing.T) (pages []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob("../../" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			pages = append(pages, filepath.ToSlash(strings.TrimPrefix(path, filepath.FromSlash("../../"))))
		}
	}
	return pages
}

// blocks of code, and lines that Markdown cannot break: of a table, or with an image.
var (
	fenced    = regexp.MustCompile("(?s)```.*?```")
	unbroken  = regexp.MustCompile(`^(\||!\[)`)
	lineLimit = 120
)

// TestDocumentsLines: README is short, and lines end at 120 columns outside tables and code.
func TestDocumentsLines(t *testing.T) {
	if n := strings.Count(clitest.Contents(t, "../../README.md"), "\n"); n >= 150 {
		t.Errorf("README.md has %d lines: move what a newcomer does not need to docs; it should have fewer than 150", n)
	}
	for _, page := range documents(t) {
		for _, line := range strings.Split(fenced.ReplaceAllString(clitest.Contents(t, "../../"+page), ""), "\n") {
			if n := len([]rune(line)); n > lineLimit && !unbroken.MatchString(line) {
				t.Errorf("%s: a line has %d columns, more than %d: %s", page, n, lineLimit, line)
			}
		}
	}
}

// What a document may name: links to files, and paths in code.
var (
	linked      = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)
	coded       = regexp.MustCompile("`([^`\n]+)`")
	inTree      = regexp.MustCompile(`^(wgsl|gpu|model|data|stage|cmd|docs|\.ci)(/[\w.\-]+)+/?$`)
	namedRecipe = regexp.MustCompile(`^(?:just|\./justw) ([a-z][a-z0-9-]*)`)
)

// TestDocumentsPaths: each file that a document links to, each path of this tree that it names as code,
// and each recipe of the justfile that it names is there. `<...>` and {...} stand for many.
func TestDocumentsPaths(t *testing.T) {
	justfile := clitest.Contents(t, "../../justfile")
	paths, recipes := 0, 0
	for _, page := range documents(t) {
		text := clitest.Contents(t, "../../"+page)
		for _, m := range linked.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			paths++
			if _, err := os.Stat(filepath.Join("../..", filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
		for _, m := range coded.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			for _, word := range strings.Fields(m[1]) {
				if !inTree.MatchString(word) {
					continue
				}
				paths++
				if _, err := os.Stat(filepath.Join("../..", word)); err != nil {
					t.Errorf("%s names %s, which is not there", page, word)
				}
			}
			if r := namedRecipe.FindStringSubmatch(m[1]); r != nil {
				recipes++
				if !regexp.MustCompile(`(?m)^` + r[1] + `[ :]`).MatchString(justfile) {
					t.Errorf("%s names the recipe %s, which the justfile does not have", page, r[1])
				}
			}
		}
	}
	if paths < 20 || recipes < 10 {
		t.Errorf("found %d paths and %d recipes in the documents: the patterns look for the wrong thing", paths, recipes)
	}
}
