// Package memory is what the system says about memory: what is free for this process, what it has taken, and
// whether memory that was never touched counts. A device that computes on the CPU takes it from there, and the
// ledger of package gpu cannot see it.
package memory

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// Available is the bytes of memory this process may still take: what the
// system can give without swapping, and what its cgroups leave. ok is false
// where neither can be read (not Linux).
func Available() (n int64, ok bool) { return available("/proc", "/sys/fs/cgroup") }

func available(proc, cgroup string) (int64, bool) {
	best, ok := meminfo(filepath.Join(proc, "meminfo"))
	for _, dir := range cgroupDirs(proc, cgroup) {
		for _, f := range [][2]string{{"memory.max", "memory.current"},
			{"memory.limit_in_bytes", "memory.usage_in_bytes"}} {
			limit, ok1 := readInt(filepath.Join(dir, f[0]))
			used, ok2 := readInt(filepath.Join(dir, f[1]))
			if ok1 && ok2 {
				// The page cache counts as used, yet gives way.
				left := max(0, limit-used+inactiveFile(filepath.Join(dir, "memory.stat")))
				if !ok || left < best {
					best, ok = left, true
				}
			}
		}
	}
	return best, ok
}

func meminfo(path string) (int64, bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if w := strings.Fields(sc.Text()); len(w) > 1 && w[0] == "MemAvailable:" {
			kib, err := strconv.ParseInt(w[1], 10, 64)
			return kib * 1024, err == nil
		}
	}
	return 0, false
}

func inactiveFile(path string) int64 {
	b, _ := os.ReadFile(path)
	for _, line := range strings.Split(string(b), "\n") {
		if v, found := strings.CutPrefix(line, "inactive_file "); found {
			n, _ := strconv.ParseInt(v, 10, 64)
			return n
		}
	}
	return 0
}

// cgroupDirs lists the process's cgroup and its parents, version 2 and the
// memory controller of version 1.
func cgroupDirs(proc, root string) []string {
	b, _ := os.ReadFile(filepath.Join(proc, "self", "cgroup"))
	dirs := []string{root, filepath.Join(root, "memory")}
	for _, line := range strings.Split(string(b), "\n") {
		f := strings.SplitN(line, ":", 3)
		if len(f) < 3 {
			continue
		}
		base := root
		if f[1] != "" {
			if !strings.Contains(f[1], "memory") {
				continue
			}
			base = filepath.Join(root, "memory")
		}
		for p := filepath.Join(base, f[2]); strings.HasPrefix(p, base) && p != base; p = filepath.Dir(p) {
			dirs = append(dirs, p)
		}
	}
	return dirs
}

func readInt(path string) (int64, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil
}

// UntouchedIsFree says whether memory that was allocated and never touched counts
// for nothing: on Linux, unless it commits strictly or limits a process's addresses
// (ulimit -v). Windows counts it.
var UntouchedIsFree = sync.OnceValue(func() bool { return untouchedFree("/proc") })

func untouchedFree(proc string) bool {
	const strict = 2
	mode, ok := readInt(filepath.Join(proc, "sys", "vm", "overcommit_memory"))
	if !ok || mode == strict {
		return false
	}
	b, _ := os.ReadFile(filepath.Join(proc, "self", "limits"))
	for _, line := range strings.Split(string(b), "\n") {
		if v, found := strings.CutPrefix(line, "Max address space"); found {
			f := strings.Fields(v) // soft, hard, unit
			return len(f) > 0 && f[0] == "unlimited"
		}
	}
	return false
}
