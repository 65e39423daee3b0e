package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"steplm/cmd/steplm/internal/command"
	"steplm/cmd/steplm/internal/flags"
)

// How large a room may be: Go files of a package, lines of a function, flags of a command outside groups.
const (
	mostFiles = 30
	mostLines = 80
	mostFlags = 40
)

// longFunctions tells which functions of a file have more lines than one may have. Those of tests are stories and
// tables, which are as long as they are.
func longFunctions(path string, source any) (list []string, err error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, source, 0)
	if err != nil {
		return nil, err
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			if n := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line + 1; n > mostLines {
				list = append(list, fmt.Sprintf("%s: %s has %d lines, at most %d", path, f.Name.Name, n, mostLines))
			}
		}
	}
	return list, nil
}

// TestRoomsAreSmall: no package has too many files, no function too many lines.
func TestRoomsAreSmall(t *testing.T) {
	packages := map[string]int{}
	for _, top := range []string{"gpu", "wgsl", "model", "data", "stage", "cmd"} {
		err := filepath.WalkDir("../../"+top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			short := strings.TrimPrefix(filepath.ToSlash(path), "../../")
			packages[short[:strings.LastIndex(short, "/")]]++
			if strings.HasSuffix(path, "_test.go") {
				return nil
			}
			long, err := longFunctions(path, nil)
			for _, l := range long {
				t.Error(strings.TrimPrefix(l, "../../"))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, n := range packages {
		if n > mostFiles {
			t.Errorf("%s has %d Go files, at most %d: cut it by idea", name, n, mostFiles)
		}
	}
	if len(packages) < 40 {
		t.Errorf("only %d packages were found", len(packages))
	}
	long := "package p\n\nfunc f() {\n" + strings.Repeat("\tg()\n", mostLines-1) + "}\n"
	short := strings.Replace(long, "\tg()\n", "", 1)
	for source, want := range map[string]int{long: 1, short: 0} {
		if got, err := longFunctions("p.go", source); err != nil || len(got) != want {
			t.Errorf("%d long functions, want %d: %v (%v)", len(got), want, got, err)
		}
	}
}

// TestFlagsComeInGroups: a command with many flags has them in groups, by its help, none of which is too large.
func TestFlagsComeInGroups(t *testing.T) {
	parser, err := kong.New(&command.CLI{}, kong.Name("steplm"), flags.Vars)
	if err != nil {
		t.Fatal(err)
	}
	largest := 0
	err = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if n, ok := node.(*kong.Command); ok {
			groups := map[string]int{}
			for _, f := range n.Flags {
				group := ""
				if f.Group != nil {
					group = f.Group.Key
				}
				groups[group]++
				largest = max(largest, groups[group])
			}
			for group, count := range groups {
				if count > mostFlags {
					t.Errorf("%s has %d flags in the group %q, at most %d", n.FullPath(), count, group, mostFlags)
				}
			}
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if largest < 20 {
		t.Errorf("the largest group has %d flags: they were not found", largest)
	}
	// A struct of flags, embedded groups aside.
	if n := ownFields(reflect.TypeOf(struct {
		flags.StepFlags
		A, B int
	}{})); n != 2 {
		t.Errorf("%d fields of its own, want 2", n)
	}
	commands := 0
	var walk func(of reflect.Type)
	walk = func(of reflect.Type) {
		for i := range of.NumField() {
			f := of.Field(i)
			if f.Type.Kind() != reflect.Struct {
				continue
			}
			if commands++; ownFields(f.Type) > mostFlags {
				t.Errorf("the struct %v has %d fields, at most %d: embed groups", f.Type, ownFields(f.Type), mostFlags)
			}
			walk(f.Type)
		}
	}
	walk(reflect.TypeOf(command.CLI{}))
	if commands < 40 {
		t.Errorf("only %d structs of flags were found", commands)
	}
}

// ownFields counts a struct's fields but for those of embedded ones.
func ownFields(of reflect.Type) (n int) {
	for i := range of.NumField() {
		if !of.Field(i).Anonymous {
			n++
		}
	}
	return n
}
