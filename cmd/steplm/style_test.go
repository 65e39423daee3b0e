package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// The style of hand-written Go files that gofmt does not know: a line ends at 120 columns at most, and
// the comment of a declaration ends as a sentence does. A tab takes four columns.
const (
	mostColumns = 120
	tabColumns  = 4
)

// notYetStyled are the folders, with all below them, whose files were written before. Every other folder
// of the module is held to the style; one that has come to hold it leaves this list.
var notYetStyled = []string{"stage", "cmd/steplm"}

// unstyled tells what a Go file has against the style, each with its line.
func unstyled(path string, source []byte) []string {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, source, parser.ParseComments)
	if err != nil {
		return []string{err.Error()}
	}
	if ast.IsGenerated(file) {
		return nil
	}
	var list []string
	exempt := rawLines(source)
	for i, line := range strings.Split(string(source), "\n") {
		n := utf8.RuneCountInString(line) + (tabColumns-1)*strings.Count(line, "\t")
		if n > mostColumns && !exempt[i+1] {
			list = append(list, fmt.Sprintf("%s:%d: %d columns, at most %d: break the line", path, i+1, n, mostColumns))
		}
	}
	check := func(doc *ast.CommentGroup) {
		if doc == nil {
			return
		}
		text := strings.TrimSpace(doc.Text())
		if last := text[strings.LastIndex(text, "\n")+1:]; text != "" && !strings.HasPrefix(last, "\t") &&
			!strings.HasPrefix(last, "https://") && !strings.ContainsAny(text[len(text)-1:], ".:?!)") {
			line := fset.Position(doc.End()).Line
			list = append(list, fmt.Sprintf("%s:%d: the comment does not end as a sentence: %q", path, line, last))
		}
	}
	check(file.Doc)
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			check(d.Doc)
		case *ast.GenDecl:
			if d.Tok != token.IMPORT { // what stands over `import "C"` is C
				check(d.Doc)
			}
			for _, s := range d.Specs {
				if s, ok := s.(*ast.TypeSpec); ok {
					check(s.Doc)
				}
			}
		}
	}
	return list
}

// rawLines are the lines that cannot be broken: those inside a raw string of several lines, and those of which a raw
// string takes more than two thirds.
func rawLines(source []byte) map[int]bool {
	lines := map[int]bool{}
	fset := token.NewFileSet()
	file := fset.AddFile("", fset.Base(), len(source))
	var s scanner.Scanner
	s.Init(file, source, nil, 0)
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return lines
		}
		if tok != token.STRING || lit[0] != '`' {
			continue
		}
		first, more := file.Line(pos), strings.Count(lit, "\n")
		for i := range more + 1 {
			lines[first+i] = lines[first+i] || more > 0 || utf8.RuneCountInString(lit) > mostColumns*2/3
		}
	}
}

// isNotYet reports whether a folder is one of those, or lies below one.
func isNotYet(folder string) bool {
	return slices.ContainsFunc(notYetStyled, func(f string) bool { return matches(f+"/...", folder) })
}

func TestStyle(t *testing.T) {
	const root = "../.."
	others, files := map[string]int{}, 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (name == "testdata" || name == "bin" || name == ".git") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		short, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		short = filepath.ToSlash(short)
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found := unstyled(short, []byte(strings.ReplaceAll(string(source), "\r\n", "\n")))
		if files++; isNotYet(filepath.ToSlash(filepath.Dir(short))) {
			for _, f := range notYetStyled {
				if strings.HasPrefix(short, f+"/") {
					others[f] += len(found)
				}
			}
			return nil
		}
		for _, f := range found {
			t.Error(f)
		}
		return nil
	})
	if err != nil || files < 300 {
		t.Fatalf("%d Go files, error %v", files, err)
	}
	for _, f := range notYetStyled {
		t.Logf("%s is not held to the style yet: %d places", f, others[f])
	}
}

// TestStyleForbids shows that TestStyle can fail.
func TestStyleForbids(t *testing.T) {
	long := strings.Repeat("x", mostColumns)
	for _, c := range []struct {
		name, source string
		places       int
	}{
		{"short lines", "package p\n\n// F does nothing.\nfunc F() {}\n", 0},
		{"a long comment", "package p\n\n// " + long + ".\nfunc F() {}\n", 1},
		{"a string that could be broken", "package p\n\nvar s = \"" + long + "\"\n", 1},
		{"tabs", "package p\n\nfunc f() {\n" + strings.Repeat("\t", 30) + "g()\n}\n", 1},
		{"runes are columns, not bytes", "package p\n\nvar s = \"" + strings.Repeat("ä", 100) + "\"\n", 0},
		{"a raw string of several lines", "package p\n\nvar s = `" + long + "\n" + long + "`\n", 0},
		{"a raw string that fills a line", "package p\n\nvar s = `" + long + "`\n", 0},
		{"a short raw string on a long line", "package p\n\nvar s, t = `a`, \"" + long + "\"\n", 1},
		{"no sentence", "package p\n\n// F does nothing\nfunc F() {}\n", 1},
		{"an address after the sentence", "package p\n\n// F does nothing.\n// https://example.org/f\nfunc F() {}\n", 0},
		{"no sentence over a type", "package p\n\ntype (\n\t// T is nothing\n\tT struct{}\n)\n", 1},
		{"generated", "// Code generated by a test. DO NOT EDIT.\n\npackage p\n\nvar s = \"" + long + "\"\n", 0},
		{"no Go", "package", 1},
	} {
		if got := unstyled("p.go", []byte(c.source)); len(got) != c.places {
			t.Errorf("%s: %d places, want %d: %q", c.name, len(got), c.places, got)
		}
	}
	for folder, want := range map[string]bool{
		"stage": true, "stage/eval": true, "stages": false, "wgsl": false, "cmd": false,
	} {
		if isNotYet(folder) != want {
			t.Errorf("%s is held to the style: %t, want %t", folder, want, !want)
		}
	}
}
