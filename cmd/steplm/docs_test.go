package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

// TestDocumentsLines: README is short, and lines of all pages in the tree end at 120 columns outside tables and code.
func TestDocumentsLines(t *testing.T) {
	if n := strings.Count(clitest.Contents(t, "../../README.md"), "\n"); n >= 150 {
		t.Errorf("README.md has %d lines: move what a newcomer does not need to docs; it should have fewer than 150", n)
	}
	pages := documents(t)
	for _, top := range []string{"gpu", "wgsl", "model", "data", "stage", "cmd"} {
		err := filepath.WalkDir("../../"+top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".md" {
				pages = append(pages, strings.TrimPrefix(filepath.ToSlash(path), "../../"))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Contains(pages, "data/corpus/README.md") {
		t.Fatalf("found the pages %v and not the corpus's", pages)
	}
	for _, page := range pages {
		for _, line := range strings.Split(fenced.ReplaceAllString(clitest.Contents(t, "../../"+page), ""), "\n") {
			if n := len([]rune(line)); n > lineLimit && !unbroken.MatchString(line) {
				t.Errorf("%s: a line has %d columns, more than %d: %s", page, n, lineLimit, line)
			}
		}
	}
}

// What a document may name: links to files, paths of the tree, and recipes of the justfile.
var (
	linked = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	inTree = regexp.MustCompile(`(?:^|[\s(` + "`" +
		`])\.?/?((?:wgsl|gpu|model|data|stage|cmd|docs|\.ci)(?:/[\w\-]+(?:\.[a-z]\w*)*)+)`)
	justRecipe = regexp.MustCompile("`(?:just|\\./justw) ([a-z][a-z0-9-]*)")
)

// TestDocumentsPaths: each file that a document links to, each path of this tree that its text names, and each
// recipe of the justfile that it names is there. What blocks of code name is run, or drawn.
func TestDocumentsPaths(t *testing.T) {
	justfile := clitest.Contents(t, "../../justfile")
	there := func(page, path string) {
		t.Helper()
		if _, err := os.Stat(filepath.Join("../..", path)); err != nil {
			t.Errorf("%s names %s, which is not there", page, path)
		}
	}
	links, paths, recipes := 0, 0, 0
	for _, page := range documents(t) {
		text := fenced.ReplaceAllString(clitest.Contents(t, "../../"+page), "")
		for _, m := range linked.FindAllStringSubmatch(text, -1) {
			if m[1] != "" && !strings.Contains(m[1], "://") {
				links++
				there(page, filepath.Join(filepath.Dir(page), m[1]))
			}
		}
		for _, m := range inTree.FindAllStringSubmatch(linked.ReplaceAllString(text, "]"), -1) {
			paths++
			there(page, m[1])
		}
		for _, m := range justRecipe.FindAllStringSubmatch(text, -1) {
			recipes++
			if !regexp.MustCompile(`(?m)^` + m[1] + `[ :]`).MatchString(justfile) {
				t.Errorf("%s names the recipe %s, which the justfile does not have", page, m[1])
			}
		}
	}
	if links < 50 || paths < 30 || recipes < 30 {
		t.Errorf("found %d links, %d paths and %d recipes in the documents: the patterns look for the wrong thing",
			links, paths, recipes)
	}
}

// TestDecisions: the index lists every decision by its number, date and title, and each has its parts.
func TestDecisions(t *testing.T) {
	index := clitest.Contents(t, "../../docs/decisions/README.md")
	n := 0
	for _, page := range documents(t) {
		if !strings.HasPrefix(page, "docs/decisions/0") {
			continue
		}
		n++
		m := regexp.MustCompile(
			`^# (\d+)\. (.+)\n\nDate: (\d{4}-\d\d-\d\d)\n\n## Context\n\n[^#]+\n\n## Decision\n\n[^#]+\n\n## Consequences\n\n[^#]+\n$`).
			FindStringSubmatch(clitest.Contents(t, "../../"+page))
		if m == nil {
			t.Errorf("%s lacks number, title, date, context, decision or consequences", page)
			continue
		}
		row := fmt.Sprintf("| %d | %s | [%s](%s) |\n", n, m[3], m[2], filepath.Base(page))
		if !strings.Contains(index, row) || !strings.HasPrefix(filepath.Base(page), fmt.Sprintf("%04d-", n)) {
			t.Errorf("the index of decisions has no row %q, or the file is not the %dth", row, n)
		}
	}
	if rows := strings.Count(index, "\n| ") - 1; n == 0 || rows != n {
		t.Errorf("the index lists %d decisions, there are %d", rows, n)
	}
}
