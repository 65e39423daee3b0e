package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"steplm/cmd/steplm/internal/convert"
	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/train"
	"steplm/data/cache"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/advice"
	"steplm/stage/plan"
	"steplm/stage/recipe"
)

// What libraries know reaches the user in flags, wherever it is wrapped.
func TestExplain(t *testing.T) {
	use := func(option advice.Option, value string) advice.Remedy {
		return advice.Remedy{How: advice.Use, Option: option, Value: value}
	}
	fact := advice.With(errors.New("no room"), advice.Way{use(advice.GradAccum, "1")},
		advice.Way{{How: advice.LeaveOut, Option: advice.Release}})
	unfit := &plan.Unfit{Limit: 2048, Need: 4096, Batch: model.Size{Batch: 1, SeqLen: 8, HeadRows: 32},
		Recompute: "block", Changes: []plan.Fitting{
			{Way: advice.Way{use(advice.States, "flash8")}, Bytes: 3000},
			{Way: advice.Way{use(advice.Stages, "3"), use(advice.Split, "real")}, Bytes: 1000},
		}}
	const least = "--memory-limit: the run does not fit into 2.0 KiB: its smallest arrangement (micro-batch 1 x 8, " +
		"recomputation block, 32 rows of logits) takes 4.0 KiB in the largest stage, 2.0 KiB more"
	none := *unfit
	none.Changes = unfit.Changes[:1]
	several, little := *unfit, *unfit
	several.Limit, several.Need, several.Changes = 6e9, 12e9, []plan.Fitting{{Way: unfit.Changes[0].Way, Bytes: 7e9}}
	several.Together = plan.Fitting{Way: advice.Way{use(advice.States, "flash8"), use(advice.Release, "")},
		Bytes: 5.75e9}
	little.Changes, little.Together = unfit.Changes[:0], plan.Fitting{Bytes: 4096}
	for want, err := range map[string]error{
		"plain": errors.New("plain"),
		"stage 2: no room: use --grad-accum 1, or leave out --release": fmt.Errorf("stage 2: %w", fact),
		"full: lower --batch-size and raise --grad-accum": advice.With(errors.New("full"),
			advice.Way{{How: advice.Lower, Option: advice.BatchSize}, {How: advice.Raise, Option: advice.GradAccum}}),
		least + "; it would fit with --stages 3 --split real (1000 B)":  unfit,
		least + "; no change is enough: with --states flash8 (2.9 KiB)": &none,
		least + "; nothing makes it smaller but a smaller model":        &little,
		"--memory-limit: the run does not fit into 6.00 GB: its smallest arrangement (micro-batch 1 x 8, " +
			"recomputation block, 32 rows of logits) takes 12.00 GB in the largest stage, 6.00 GB more; no single " +
			"change is enough, it would fit with --states flash8 --release (5.75 GB)": &several,
		"device 9: no such device; `steplm devices` lists them": fmt.Errorf("device 9: %w",
			gpu.ErrNoSuchDevice),
		"row 1: tokenize the data again: `steplm data tokenize` makes the cache anew": fmt.Errorf("row 1: %w",
			cache.ErrDamaged),
		gpu.NoAdapterHelp + ". --device host computes in plain Go, slowly": gpu.ErrNoAdapter,
	} {
		if got := flags.Explain(err); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// Every option that advice names is a flag of pretrain or of export, and every one that a method has is of pretrain.
func TestOptionsAreFlags(t *testing.T) {
	flagsOf := func(command any) (list []string) {
		parser, err := kong.New(command, flags.Vars)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range parser.Model.Flags {
			list = append(list, "--"+f.Name)
		}
		return list
	}
	known, export := flagsOf(&train.PretrainCmd{}), flagsOf(&convert.ExportCmd{})
	named := 0
	for name, value := range constants(t, "../../model/advice/advice.go", "Option") {
		named++
		if flag := flags.Of(advice.Option(value)); !slices.Contains(known, flag) && !slices.Contains(export, flag) {
			t.Errorf("option %s: neither pretrain nor export has a flag %s", name, flag)
		}
	}
	if named < 25 {
		t.Errorf("only %d options were found", named)
	}
	for _, m := range recipe.Methods {
		for _, o := range m.Uses {
			if !slices.Contains(known, flags.Of(o)) {
				t.Errorf("method %s uses %s, pretrain has no flag %s", m.Name, o, flags.Of(o))
			}
		}
	}
}

// constants are the string constants of a type in a file, by name.
func constants(t *testing.T, path, typeName string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if id, named := (*ast.Ident)(nil), false; ok {
			if id, named = v.Type.(*ast.Ident); named && id.Name == typeName {
				list[v.Names[0].Name] = strings.Trim(v.Values[0].(*ast.BasicLit).Value, `"`)
			}
		}
		return true
	})
	return list
}

var flagText = regexp.MustCompile("(^|[^-\\w])--[a-z]|`steplm ")

// flagStrings are the string literals of a file that spell a flag.
func flagStrings(path string, source any) (list []string, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, source, 0)
	if err != nil {
		return nil, err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING && flagText.MatchString(s.Value) {
			list = append(list, s.Value)
		}
		return true
	})
	return list, nil
}

// No library's text spells a flag.
func TestLibrariesNameNoFlags(t *testing.T) {
	files := 0
	for _, root := range []string{"data", "gpu", "model", "stage", "wgsl"} {
		err := filepath.WalkDir(filepath.Join("../..", root), func(path string, e fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files++
			found, err := flagStrings(path, nil)
			for _, s := range found {
				t.Errorf("%s names a flag: %s", path, s)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 100 {
		t.Errorf("only %d files were read", files)
	}
	for source, want := range map[string]int{
		`package p; var x = "use --lr 1"`: 1, `package p; var x = "a -- b, x--y" // --lr`: 0,
		"package p; var x = `--lr`": 1, "package p; var x = \"see `steplm plan`\"": 1,
	} {
		if found, err := flagStrings("p.go", source); err != nil || len(found) != want {
			t.Errorf("%s: found %v (%v), want %d", source, found, err, want)
		}
	}
}
