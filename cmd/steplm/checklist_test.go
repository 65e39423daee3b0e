package main

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
)

// The tests that the checklist for GPUs names are there.
func TestChecklistNamesTests(t *testing.T) {
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(clitest.Contents(t,
		"../../docs/gpu/checklist.md"), -1)
	if len(named) < 10 {
		t.Fatalf("it names %d tests", len(named))
	}
	grep := exec.Command("grep", "-rhoE", "--include=*_test.go", "^func Test[A-Za-z0-9]+", "../..")
	out, err := grep.Output()
	if err != nil {
		t.Fatal(err)
	}
	there := strings.Fields(string(out))
	for _, m := range named {
		if !slices.Contains(there, m[1]) {
			t.Errorf("the checklist names %s, which is no test", m[1])
		}
	}
}
