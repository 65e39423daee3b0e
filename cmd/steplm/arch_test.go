package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport is the architecture: what a package may import besides the standard library. A pattern
// that ends in "/..." stands for a path and all below it. A package's internal packages are parts of
// it: what holds for it holds for them. Tests may import what they like.
var mayImport = map[string][]string{
	"internal/clock": {},
	"internal/retry": {},
	"internal/disk":  {"github.com/gofrs/flock", "github.com/rogpeppe/go-internal/robustio", "golang.org/x/sys/..."},
	"gpu":            {"github.com/rajveermalviya/go-webgpu/...", "golang.org/x/sys/...", "steplm/gpu/memory"},
	"gpu/memory":     {},
	"gpu/selftest":   {"steplm/gpu"},
	"gpu/replay":     {"steplm/gpu"},
	"gpu/gputest":    {"steplm/gpu"},
	"wgsl":           {"steplm/gpu", "steplm/wgsl/ref", "steplm/wgsl/matmul", "steplm/wgsl/attention"},
	"wgsl/matmul":    {"steplm/gpu", "steplm/wgsl/ref", "steplm/wgsl/internal/kernel"},
	"wgsl/attention": {"steplm/gpu", "steplm/wgsl/ref", "steplm/wgsl/internal/kernel"},
	"wgsl/update": {"steplm/gpu", "steplm/wgsl", "steplm/wgsl/update/ref", "steplm/wgsl/matmul",
		"steplm/wgsl/internal/kernel"},
	"wgsl/update/ref": {"steplm/wgsl/ref"},
	"wgsl/wgsltest":   {"steplm/gpu", "steplm/gpu/gputest", "steplm/wgsl/internal/kernel"},
	"wgsl/ref":        {},
	"wgsl/tune":       {"steplm/wgsl", "steplm/gpu"},
	"model": {"steplm/wgsl", "steplm/wgsl/update", "steplm/wgsl/matmul", "steplm/wgsl/attention", "steplm/gpu",
		"steplm/model/checkpoint"},
	"model/advice": {},
	"model/optim": {"steplm/model", "steplm/model/advice", "steplm/wgsl", "steplm/wgsl/update", "steplm/wgsl/matmul",
		"steplm/gpu"},
	"model/sample":     {},
	"model/generate":   {"steplm/model", "steplm/model/sample", "steplm/gpu"},
	"model/engine":     {"steplm/model/generate"},
	"model/likelihood": {"steplm/model", "steplm/model/sample", "steplm/gpu"},
	"model/checkpoint": {},
	"model/hf":         {"steplm/model", "steplm/model/checkpoint", "steplm/gpu"},
	"model/export": {"steplm/model", "steplm/model/advice", "steplm/model/checkpoint", "steplm/model/hf",
		"steplm/data/tokenizer"},
	"model/modeltest": {"steplm/model", "steplm/model/checkpoint", "steplm/model/hf", "steplm/wgsl", "steplm/gpu",
		"steplm/gpu/gputest", "steplm/data/datatest"},
	"data": {"steplm/data/parquet", "steplm/data/text", "steplm/data/cache", "steplm/data/tokenizer",
		"steplm/data/inspect"},
	"data/parquet": {"github.com/apache/arrow/...", "github.com/pierrec/lz4/v4", "steplm/data/inspect",
		"steplm/data/internal/shard"},
	"data/text":      {"github.com/klauspost/compress/zstd", "steplm/data/inspect", "steplm/data/internal/shard"},
	"data/inspect":   {},
	"data/cache":     {"steplm/data/internal/shard"},
	"data/tokenizer": {"github.com/dlclark/regexp2/..."},
	"data/datatest":  {"github.com/apache/arrow/..."},
	"data/corpus":    {},
	"data/examples": {
		"steplm/data", "steplm/data/chat", "steplm/data/parquet", "steplm/data/text", "steplm/data/internal/kind",
		"steplm/data/internal/permute",
	},
	"data/chat":   {"github.com/nikolalohinski/gonja/v2/..."},
	"data/hub":    {"github.com/gofrs/flock"},
	"stage/outer": {"steplm/model", "steplm/gpu"},
	"stage/rounds": {"steplm/stage/outer", "steplm/stage/reduce", "steplm/model", "steplm/internal/retry",
		"github.com/flynn/noise", "github.com/hashicorp/mdns"},
	"stage/recipe": {
		"steplm/stage/recipe/growth", "steplm/stage/outer", "steplm/model", "steplm/model/advice", "steplm/model/optim",
		"steplm/wgsl",
		"steplm/gpu",
	},
	"stage/recipe/growth": {},
	"stage/recipe/recipetest": {
		"steplm/stage/recipe", "steplm/stage/recipe/growth", "steplm/model", "steplm/model/advice",
		"steplm/model/optim",
	},
	"stage/plan": {"steplm/stage/recipe", "steplm/stage/outer", "steplm/model", "steplm/model/advice",
		"steplm/model/optim", "steplm/gpu"},
	"stage": {
		"steplm/stage/trainer", "steplm/stage/guard", "steplm/stage/recipe", "steplm/stage/samples",
		"steplm/stage/outer", "steplm/stage/eval", "steplm/stage/record", "steplm/stage/reduce",
		"steplm/model", "steplm/model/advice", "steplm/model/checkpoint", "steplm/data", "steplm/gpu",
	},
	"stage/trainer": {
		"steplm/stage/guard", "steplm/stage/recipe", "steplm/stage/recipe/growth", "steplm/stage/samples",
		"steplm/stage/outer", "steplm/stage/eval", "steplm/stage/record", "steplm/stage/reduce",
		"steplm/model", "steplm/model/generate", "steplm/model/advice", "steplm/model/optim", "steplm/model/checkpoint",
		"steplm/data", "steplm/wgsl", "steplm/gpu", "steplm/gpu/memory",
	},
	"stage/trainer/trainertest": {"steplm/model", "steplm/data"},
	"stage/guard":               {"steplm/stage/recipe", "steplm/model/advice"},
	"stage/samples": {
		"steplm/stage/record", "steplm/model", "steplm/model/generate", "steplm/model/sample", "steplm/model/advice",
		"steplm/gpu",
	},
	"stage/synthetic": {"steplm/model", "steplm/data"},
	"stage/stories":   {},
	"stage/session": {
		"steplm/stage", "steplm/stage/trainer", "steplm/stage/recipe", "steplm/stage/outer", "steplm/stage/rounds",
		"steplm/stage/plan",
		"steplm/stage/eval",
		"steplm/stage/record", "steplm/stage/logs", "steplm/stage/samples", "steplm/stage/reduce",
		"steplm/model/sample",
		"steplm/model", "steplm/model/advice", "steplm/model/optim", "steplm/model/checkpoint",
		"steplm/model/export", "steplm/model/generate", "steplm/model/hf",
		"steplm/data", "steplm/data/chat", "steplm/data/examples", "steplm/data/cache", "steplm/data/hub",
		"steplm/data/tokenizer",
		"steplm/gpu",
		"steplm/gpu/memory",
	},
	"stage/results": {"steplm/stage/recipe", "steplm/stage/record", "steplm/stage/eval", "steplm/gpu"},
	"stage/judge":   {},
	"stage/mtbench": {},
	"stage/logs":    {"steplm/stage/record", "google.golang.org/protobuf/encoding/protowire", "modernc.org/sqlite"},
	"stage/experiment": {
		"steplm/stage/session", "steplm/stage/results", "steplm/stage/recipe", "steplm/stage/record",
		"steplm/stage/harness", "steplm/model/advice", "steplm/model/checkpoint", "steplm/gpu",
	},
	"stage/eval": {"steplm/model", "steplm/model/generate", "steplm/data", "steplm/data/examples", "steplm/gpu"},
	"stage/harness": {
		"steplm/stage/eval", "steplm/model", "steplm/model/likelihood", "steplm/data/parquet", "steplm/data/tokenizer",
	},
	"stage/record":            {"steplm/model/checkpoint", "steplm/model/advice"},
	"stage/reduce":            {"github.com/ebitengine/purego", "golang.org/x/sys/windows", "steplm/gpu"},
	"stage/reduce/reducetest": {},
	"stage/compare":           {"gonum.org/v1/gonum/stat/..."},
}

// lowest are the lowest packages, which every other one may import.
var lowest = []string{"steplm/internal/clock", "steplm/internal/disk", "steplm/internal/retry"}

// commands is the one place that wires everything together, and so may import everything.
const commands = "steplm/cmd/"

// forbiddenImports tells each import that mayImport does not allow, in the order given.
func forbiddenImports(importPath string, imports []string) []string {
	if strings.HasPrefix(importPath, commands) {
		return nil
	}
	whole, _, _ := strings.Cut(importPath, "/internal/")
	if slices.Contains(lowest, importPath) {
		whole = importPath
	}
	allowed, known := mayImport[strings.TrimPrefix(whole, "steplm/")]
	if !known {
		return []string{whole + " is not in the architecture's table: say there what it may import"}
	}
	allowed = append(append(slices.Clone(allowed), whole+"/internal/..."), lowest...)
	var forbidden []string
	for _, imported := range imports {
		switch {
		case imported == "C" && whole != "steplm/gpu":
			forbidden = append(forbidden, importPath+" uses cgo: only gpu may")
		case !standardLibrary(imported) && !slices.ContainsFunc(allowed,
			func(pattern string) bool { return matches(pattern, imported) }):
			forbidden = append(forbidden, fmt.Sprintf("%s imports %s: it may import only the standard library and %v",
				importPath, imported, allowed))
		}
	}
	return forbidden
}

// standardLibrary reports whether an import path is the standard library's: its first element has no
// dot and is not this module's name.
func standardLibrary(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return first != "steplm" && !strings.Contains(first, ".")
}

func matches(pattern, importPath string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return importPath == below || strings.HasPrefix(importPath, below+"/")
	}
	return importPath == pattern
}

func TestArchitecture(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		list := exec.Command("go", "list", "-e", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
		list.Dir = "../.."
		list.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=1")
		list.Stderr = os.Stderr
		out, err := list.Output()
		if err != nil {
			t.Fatalf("go list on %s: %v", goos, err)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		for _, line := range lines {
			fields := strings.Fields(line)
			for _, forbidden := range forbiddenImports(fields[0], fields[1:]) {
				t.Errorf("on %s: %s", goos, forbidden)
			}
		}
	}
}

// TestArchitectureForbids shows that TestArchitecture can fail.
func TestArchitectureForbids(t *testing.T) {
	cases := []struct {
		importPath string
		imports    []string
		forbidden  int
	}{
		{"steplm/gpu", []string{"C", "fmt", "github.com/rajveermalviya/go-webgpu/wgpu", "golang.org/x/sys/unix"}, 0},
		{"steplm/gpu", []string{"steplm/wgsl"}, 1},
		{"steplm/wgsl", []string{"C"}, 1},
		{"steplm/wgsl", []string{"embed", "steplm/gpu", "steplm/wgsl/ref"}, 0},
		{"steplm/wgsl", []string{"github.com/rajveermalviya/go-webgpu/wgpu", "steplm/model"}, 2},
		{"steplm/wgsl/ref", []string{"math", "steplm/gpu"}, 1},
		{"steplm/wgsl/matmul", []string{"embed", "steplm/gpu", "steplm/wgsl/internal/kernel", "steplm/wgsl/ref"}, 0},
		{"steplm/wgsl/matmul", []string{"steplm/wgsl", "steplm/wgsl/attention"}, 2},
		{"steplm/wgsl/internal/kernel", []string{"steplm/gpu", "steplm/gpu/gputest"}, 1},
		{"steplm/model/checkpoint", []string{"golang.org/x/sys/unix"}, 1},
		{"steplm/model/checkpoint", []string{"steplm/internal/disk"}, 0},
		{"steplm/internal/disk", []string{"steplm/gpu"}, 1},
		{"steplm/data", []string{"github.com/apache/arrow/go/v17/parquet/file"}, 1},
		{"steplm/data", []string{"steplm/data/parquet", "steplm/data/text", "steplm/data/internal/shard"}, 0},
		{"steplm/data/parquet", []string{"github.com/apache/arrow/go/v17/parquet/file", "steplm/data/internal/shard"},
			0},
		{"steplm/data/parquet", []string{"steplm/data"}, 1},
		{"steplm/data/text", []string{"github.com/apache/arrow/go/v17/parquet/compress", "steplm/data/parquet"}, 2},
		{"steplm/data/cache", []string{"steplm/data/tokenizer"}, 1},
		{"steplm/stage", []string{"github.com/apache/arrow/go/v17/parquet/file"}, 1},
		{"steplm/stage", []string{"steplm/stage/recipe", "steplm/gpux"}, 1},
		{"steplm/stage/eval", []string{"steplm/stage"}, 1},
		{"steplm/stage/record", []string{"steplm/model/checkpoint", "steplm/stage/eval", "steplm/stage/recipe"}, 2},
		{"steplm/data/hub", []string{"steplm/data/hub/internal/made"}, 0},
		{"steplm/data/hub/internal/made", []string{"github.com/gofrs/flock", "steplm/data/hub/internal/up"}, 0},
		{"steplm/data/hub/internal/made", []string{"steplm/data"}, 1},
		{"steplm/data/datatest", []string{"testing", "steplm/data"}, 1},
		{"steplm/cmd/steplm", []string{"github.com/alecthomas/kong", "steplm/stage"}, 0},
		{"steplm/stray", []string{"fmt"}, 1},
	}
	for _, c := range cases {
		got := forbiddenImports(c.importPath, c.imports)
		if len(got) != c.forbidden {
			t.Errorf("%s importing %v: %d forbidden, want %d: %q", c.importPath, c.imports, len(got), c.forbidden, got)
		}
	}
}
