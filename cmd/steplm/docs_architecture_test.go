package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
)

const architecturePage = "docs/architecture.md"

// TestArchitecturePicture: docs/architecture.md draws each package that may be imported, above what it
// may import itself, and no other.
func TestArchitecturePicture(t *testing.T) {
	page := clitest.Contents(t, "../../"+architecturePage)
	picture := fenced.FindString(page)
	line := func(pkg string) int {
		pattern := `(?m)^.{9}` + regexp.QuoteMeta(pkg) + `( |$)`
		if strings.Contains(pkg, "/") {
			pattern = `(?m)(^|[ (])` + regexp.QuoteMeta(pkg) + `($|[ ,;:(])`
		}
		if at := regexp.MustCompile(pattern).FindStringIndex(picture); at != nil {
			return strings.Count(picture[:at[0]], "\n")
		}
		return -1
	}
	for pkg, allowed := range mayImport {
		at := line(pkg)
		if at < 0 {
			if !strings.Contains(page, pkg+" (") { // For tests alone.
				t.Errorf("%s does not show the package %s", architecturePage, pkg)
			}
			continue
		}
		for _, imported := range allowed {
			if below := strings.TrimPrefix(imported, "steplm/"); line(below) >= 0 && line(below) < at {
				t.Errorf("%s shows %s above %s, which may import it", architecturePage, below, pkg)
			}
		}
	}
	for _, m := range regexp.MustCompile(`(?m)[ (]((?:stage|data|model|wgsl|gpu)/\w+)`).FindAllStringSubmatch(picture,
		-1) {
		if _, known := mayImport[m[1]]; !known {
			t.Errorf("%s shows %s, of which nothing says what it may import", architecturePage, m[1])
		}
	}
}

// newThings are the rows of the page's table "Where one new thing goes": its example, by the names in code and
// the files of its own.
var newThings = []struct {
	row   string
	names string // of identifiers and of whole strings
	own   string // of paths
	other string // of paths that mean something else by one of the names
}{
	{"kernel", `(?i)swiglu`, `^wgsl/(ref/)?swiglu`, ""},
	{"optimizer", `(?i)muon`, `^model/optim/muon\.go$`, `^wgsl/`},
	{"growth operator", `^growMean$|^"mean"$`, `/grow_mean\.go$`, ""},
	{"method", `^stepMethod$|^stepName$|^"step"$`, `/method_step\.go$`,
		`/bench/all\.go$|/curves/axis\.go$|/train/(describe|trace)\.go$|/logs/trainer_state\.go$`},
	{"device", `^NewHost$|^"host"$`, `^gpu/host\.go$`, ""},
	{"task", `(?i)wikitext`, `^stage/eval/[^/]*wikitext\.go$`, `^stage/harness/`},
	{"downstream task", `^piqa$|^"piqa"$`, `/task_piqa\.go$`, ""},
	{"data source", `^(linesFormat|Lines)$`, `/(source_)?lines\.go$`,
		`^data/tokenizer/|/speak/generate\.go$|^wgsl/|^stage/harness/`},
	{"log format", `(?i)^beginTrackio$|^trackio$|^"trackio"$`, `^stage/logs/trackio\.go$`, ""},
	{"export format", `^PEFT$`, `^model/export/peft\.go$`, ""},
}

// TestWhereOneNewThingGoes counts the files that name an example of each thing, as the page says.
func TestWhereOneNewThingGoes(t *testing.T) {
	page := clitest.Contents(t, "../../"+architecturePage)
	files := namesByFile(t)
	for _, thing := range newThings {
		var own, others []string
		for _, path := range slices.Sorted(maps.Keys(files)) {
			switch {
			case !slices.ContainsFunc(files[path], regexp.MustCompile(thing.names).MatchString):
			case regexp.MustCompile(thing.own).MatchString(path):
				own = append(own, path)
			case thing.other == "" || !regexp.MustCompile(thing.other).MatchString(path):
				others = append(others, path)
			}
		}
		m := regexp.MustCompile(`(?m)^\| ` + thing.row + ` \| [^|]+ \| (\d+) \| (\d+) \|`).FindStringSubmatch(page)
		if m == nil {
			t.Errorf("%s has no row for a %s", architecturePage, thing.row)
			continue
		}
		if m[1] != strconv.Itoa(len(own)) || m[2] != strconv.Itoa(len(others)) {
			t.Errorf("%s: %s: it says %s files of its own and %s others; there are %d and %d:\n%v\n%v",
				architecturePage, thing.row, m[1], m[2], len(own), len(others), own, others)
		}
	}
}

// namesByFile lists the identifiers and strings of every file of production code; of a kernel, its text.
func namesByFile(t *testing.T) map[string][]string {
	t.Helper()
	files := map[string][]string{}
	eachSource(t, func(path string, file *ast.File, text []byte) {
		if file == nil {
			files[path] = []string{string(text)}
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch x := n.(type) {
			case *ast.Ident:
				files[path] = append(files[path], x.Name)
			case *ast.BasicLit:
				if x.Kind == token.STRING {
					files[path] = append(files[path], x.Value)
				}
			}
			return true
		})
	})
	return files
}

// eachSource visits the Go files, without comments, and the kernels of what the program is made of: no tests, no
// packages for tests, no tools beside it.
func eachSource(t *testing.T, visit func(path string, file *ast.File, text []byte)) {
	t.Helper()
	fromRoot := func(path string) string {
		return strings.TrimPrefix(filepath.ToSlash(path), "../../")
	}
	for _, top := range []string{"gpu", "wgsl", "model", "data", "stage", "cmd/steplm"} {
		err := filepath.WalkDir("../../"+top, func(path string, d fs.DirEntry, err error) error {
			switch name := d.Name(); {
			case err != nil:
				return err
			case d.IsDir() && (name == "testdata" || strings.HasSuffix(name, "test")):
				return filepath.SkipDir
			case d.IsDir() || strings.HasSuffix(name, "_test.go"):
				return nil
			case strings.HasSuffix(name, ".go"):
				file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
				if err == nil {
					visit(fromRoot(path), file, nil)
				}
				return err
			case strings.HasSuffix(name, ".wgsl") || strings.HasSuffix(name, ".wgsl.tmpl"):
				text, err := os.ReadFile(path)
				if err == nil {
					visit(fromRoot(path), nil, text)
				}
				return err
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestDocumentsIdentifiers: what the documents of the code name as package.Name or package.Name.Member, as code,
// is declared.
func TestDocumentsIdentifiers(t *testing.T) {
	declared := map[string]bool{}
	packages := map[string]bool{}
	eachSource(t, func(_ string, file *ast.File, _ []byte) {
		if file == nil {
			return
		}
		packages[file.Name.Name] = true
		for _, name := range declaredIn(file) {
			declared[file.Name.Name+"."+name] = true
		}
	})
	named := regexp.MustCompile("`((" + strings.Join(slices.Sorted(maps.Keys(packages)), "|") + `)\.[A-Z]\w*(\.\w+)?)` +
		"`")
	n := 0
	for _, page := range documents(t) {
		for _, m := range named.FindAllStringSubmatch(clitest.Contents(t, "../../"+page), -1) {
			if n++; !declared[m[1]] {
				t.Errorf("%s names %s, which is not declared", page, m[1])
			}
		}
	}
	if n < 20 {
		t.Errorf("found %d identifiers in the documents: the pattern looks for the wrong thing", n)
	}
}

// declaredIn lists a file's functions, types, variables and constants, and the types' methods and fields.
func declaredIn(file *ast.File) (names []string) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				receiver := d.Recv.List[0].Type
				if star, ok := receiver.(*ast.StarExpr); ok {
					receiver = star.X
				}
				name = fmt.Sprint(receiver) + "." + name
			}
			names = append(names, name)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.ValueSpec:
					for _, id := range s.Names {
						names = append(names, id.Name)
					}
				case *ast.TypeSpec:
					names = append(names, s.Name.Name)
					var members *ast.FieldList
					switch x := s.Type.(type) {
					case *ast.StructType:
						members = x.Fields
					case *ast.InterfaceType:
						members = x.Methods
					default:
						continue
					}
					for _, f := range members.List {
						for _, id := range f.Names {
							names = append(names, s.Name.Name+"."+id.Name)
						}
					}
				}
			}
		}
	}
	return names
}
