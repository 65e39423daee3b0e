package memory

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAvailableMemory(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ask := func() int64 {
		n, ok := available(filepath.Join(dir, "proc"), filepath.Join(dir, "cg"))
		if !ok {
			return -1
		}
		return n
	}
	if ask() != -1 {
		t.Error("memory known without any file")
	}
	write("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    1000 kB\n")
	if got := ask(); got != 1000*1024 {
		t.Errorf("meminfo: %d", got)
	}
	write("proc/self/cgroup", "0::/a/b\n")
	write("cg/a/memory.max", "600000\n")
	write("cg/a/memory.current", "200000\n")
	write("cg/a/memory.stat", "anon 5\ninactive_file 50000\n")
	write("cg/a/b/memory.max", "max\n")
	write("cg/a/b/memory.current", "1\n")
	if got := ask(); got != 450000 {
		t.Errorf("cgroup v2, the parent's limit: %d", got)
	}
	write("proc/self/cgroup", "5:memory:/j\n")
	write("cg/memory/j/memory.limit_in_bytes", "300000\n")
	write("cg/memory/j/memory.usage_in_bytes", "100000\n")
	if got := ask(); got != 200000 {
		t.Errorf("cgroup v1: %d", got)
	}
}

// Where addresses are few, tensors must not take 32 MiB of them each.
func TestUntouchedIsFree(t *testing.T) {
	limits := func(v string) string {
		return "Limit                     Soft Limit           Hard Limit           Units     \nMax address space " +
			"        " + v + " bytes     \n"
	}
	for _, c := range []struct {
		overcommit, limits string
		want               bool
	}{
		{"0\n", limits("unlimited            unlimited           "), true},
		{"1\n", limits("unlimited            unlimited           "), true},
		{"2\n", limits("unlimited            unlimited           "), false},
		{"0\n", limits("12288000000          unlimited           "), false},
		{"0\n", "", false},
		{"", limits("unlimited            unlimited           "), false},
	} {
		proc := t.TempDir()
		for file, text := range map[string]string{"sys/vm/overcommit_memory": c.overcommit, "self/limits": c.limits} {
			path := filepath.Join(proc, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := untouchedFree(proc); got != c.want {
			t.Errorf("overcommit %q, limits %q: %t, want %t", c.overcommit, c.limits, got, c.want)
		}
	}
}
