package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// suite is a package's tests as a program.
type suite struct {
	name  string // of the package, and of its working folder below tests; the last part is programs/PART.test
	share float64
	only  string // a pattern of tests; "": all
}

// suites are in order of value. Of the packages of stage they are the run against goldens of
// another implementation, the bytes, and what must be the same bits.
var suites = []suite{
	{"gpu", 1, ""},
	{"wgsl", 1, ""},
	{"wgsl/update", 1, ""},
	{"wgsl/matmul", 2, ""},
	{"wgsl/attention", 1, ""},
	{"model", 1, ""},
	{"model/modeltest", 2, ""},
	{"model/hf", 1, ""},
	{"stage/trainer", 2, "^(TestIndependentFixture|TestIndependentFixtureTied|TestLedgerIsThePlan|" +
		"TestPlanIsWhatAGPUHolds|TestTransitionPeaks|TestSameSeedSameBits|" +
		"TestVariantsTrainAlike|TestStoragesTrain|TestMergeLeavesLogits)$"},
	{"stage/stories", 1, "^TestStopAndResume$"},
	{"wgsl/tune", 1, ""},
	{"model/optim", 1, ""},
}

// program is the file of the suite's tests.
func (s suite) program() string { return program(path.Base(s.name) + ".test") }

// tested is what a suite's tests came to.
type tested struct {
	run, skipped int
	whole        bool // all of them
	seconds      float64
	failed       []string
	seen         map[string]bool // top-level tests that began
	last         string          // top-level test that began last
	open         bool            // and has not ended
	output       map[string][]string
}

// deviceTests runs every suite, and once more those that their share of the time did not suffice for, if
// others left some. What fails is listed, and nothing more.
func deviceTests(ctx context.Context, k *kit, r *result) error {
	list := slices.DeleteFunc(slices.Clone(suites),
		func(s suite) bool { return !exists(filepath.Join(k.work, s.program())) })
	all := make([]*tested, len(list))
	for i := range list {
		all[i] = &tested{seen: map[string]bool{}, output: map[string][]string{}}
	}
	deadline, _ := ctx.Deadline()
	for range 2 {
		for i, s := range list {
			if all[i].whole {
				continue
			}
			shares := 0.0
			for j, later := range list[i:] {
				if !all[i+j].whole {
					shares += later.share
				}
			}
			began := time.Now()
			err := k.runSuite(ctx, s, all[i], time.Duration(float64(time.Until(deadline))*s.share/shares))
			all[i].seconds += time.Since(began).Seconds()
			k.say("%-15s %s", s.name, all[i])
			tell(r, list, all)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// tell writes what the suites have come to.
func tell(r *result, list []suite, all []*tested) {
	r.table, r.Failures = []string{"| tests | passed or failed | failed | skipped | seconds | |",
		"|---|---|---|---|---|---|"}, nil
	total, failures := 0, 0
	for i, x := range all {
		total, failures = total+x.run, failures+len(x.failed)
		r.table = append(r.table, fmt.Sprintf("| %s | %d | %d | %d | %.0f | %s |", list[i].name, x.run, len(x.failed),
			x.skipped, x.seconds, cell(x.note())))
		for _, name := range x.failed {
			r.Failures = append(r.Failures, fmt.Sprintf("%s %s: %s", list[i].name, name, firstReason(x.output[name])))
		}
	}
	r.set("tests_run", float64(total))
	r.set("tests_failed", float64(failures))
}

// note says how far the suite came.
func (x *tested) note() string {
	switch {
	case x.whole:
		return "all"
	case x.last == "":
		return "none yet"
	}
	return "cut off in " + x.last
}

func (x *tested) String() string {
	return fmt.Sprintf("%d tests, %d failed, %d skipped, %.0f s, %s", x.run, len(x.failed), x.skipped, x.seconds,
		x.note())
}

// runSuite runs those of a suite's tests that have not ended yet. A test that ends the process fails, and
// the rest is begun again without it.
func (k *kit) runSuite(ctx context.Context, s suite, x *tested, limit time.Duration) error {
	bounded, stop := context.WithTimeout(ctx, limit)
	defer stop()
	for {
		args := []string{filepath.Join(k.work, s.program()), "-test.v", "-test.short", "-test.count=1",
			"-test.timeout=0"}
		if s.only != "" {
			args = append(args, "-test.run="+s.only)
		}
		if len(x.seen) > 0 {
			names := slices.Sorted(maps.Keys(x.seen))
			for i := range names {
				names[i] = regexp.QuoteMeta(names[i])
			}
			args = append(args, "-test.skip=^("+strings.Join(names, "|")+")$")
		}
		before := len(x.seen)
		e, err := k.start(bounded, command{args: args, dir: k.testFolder(s.name), env: k.testEnv(), line: x.line})
		switch {
		case bounded.Err() != nil:
			if x.open { // It is begun again where there is time.
				delete(x.seen, x.last)
				x.open = false
			}
			return ctx.Err()
		case x.open:
			x.open = false
			x.run++
			x.failed = append(x.failed, x.last)
			x.output[x.last] = append(x.output[x.last], "    it ended the process: "+lastLine(e.words))
		case e.code != 0 && e.code != 1 && len(x.seen) > before:
			// A panic ended the process behind the line that its test failed: the rest is begun again.
		case x.run+x.skipped == 0:
			return fmt.Errorf("the tests of %s do not start: %w %s", s.name, err, lastLine(e.words))
		default:
			x.whole = true
			return nil
		}
	}
}

// testFolder is where a suite finds its goldens.
func (k *kit) testFolder(name string) string {
	if folder := k.path("tests", name); exists(folder) {
		return folder
	}
	return k.work
}

// testEnv is the environment of tests. The data that they share with other projects are not in the kit, and
// tests of them skip, saying so.
func (k *kit) testEnv() []string {
	env := []string{
		"STEPLM_GPU=require", "STEPLM_DEVICE=" + k.Device,
		"XDG_CACHE_HOME=" + filepath.Join(k.work, "cache"), "TMPDIR=" + tempFolder(k.work),
	}
	if os.Getenv("STEPLM_DATA") == "" {
		env = append(env, "STEPLM_DATA="+k.path("shared-data"))
	}
	return env
}

// tempFolder is a folder of the kit's for what tests write, which goes with the kit's.
func tempFolder(work string) string {
	folder := filepath.Join(work, "tmp")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return work
	}
	return folder
}

var (
	testBegins = regexp.MustCompile(`^=== RUN   (\S+)$`)
	testEnds   = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (.+) \([0-9.]+s\)$`)
)

// line reads a line of `go test -v`. A test's own words follow its RUN line and count as its output.
func (x *tested) line(text string) {
	if m := testBegins.FindStringSubmatch(text); m != nil {
		if !strings.Contains(m[1], "/") {
			x.last, x.open = m[1], true
			x.seen[m[1]] = true
		}
		return
	}
	m := testEnds.FindStringSubmatch(text)
	if m == nil {
		if x.open && len(x.output[x.last]) < 40 {
			x.output[x.last] = append(x.output[x.last], text)
		}
		return
	}
	if strings.Contains(m[2], "/") { // A part of a test: a failure of it is the test's.
		return
	}
	x.open = false
	switch m[1] {
	case "FAIL":
		x.run++
		x.failed = append(x.failed, m[2])
	case "SKIP":
		x.skipped++
	default:
		x.run++
	}
}

// firstReason is the first line in which a test says what was wrong.
func firstReason(lines []string) string {
	for _, line := range lines {
		if strings.HasPrefix(line, " ") && !strings.HasPrefix(strings.TrimSpace(line), "===") {
			return strings.TrimSpace(line)
		}
	}
	return "it said nothing; log.txt has the run"
}
