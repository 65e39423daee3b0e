package clitest

import (
	"path/filepath"
	"strings"
	"testing"
)

// Refused checks that pretrain ends with a code and one line that holds parts,
// and leaves nothing where its run would have been.
func Refused(t *testing.T, m Material, code int, parts []string, flags ...string) {
	t.Helper()
	parent := t.TempDir()
	_, stderr, got := Call(t, "", m.Pretrain(filepath.Join(parent, "run"), flags...)...)
	CheckFailure(t, strings.Join(flags, " "), stderr, got, code, parts...)
	if left := Entries(t, parent); len(left) > 0 {
		t.Errorf("%q left %q", flags, left)
	}
}
