package session

import (
	"path/filepath"
	"strings"
	"testing"
)

// A name that no file can have is one of no model, whatever the system calls it.
func TestFindModelWithoutFile(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 300))
	for name, want := range map[string]string{
		long:                        "there is no such run or model",
		long + "@step-4":            "holds no run",
		t.TempDir() + "/a*b":        "there is no such run or model",
		t.TempDir() + "/a*b@step-4": "holds no run",
	} {
		if _, err := FindModel(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
