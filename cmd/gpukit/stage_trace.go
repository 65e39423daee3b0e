package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// trace traces a few steps of the first model and keeps the file, the kernels that take longest, and
// the longest submission, which watchdogs bound.
func trace(ctx context.Context, k *kit, r *result) error {
	file := filepath.Join(k.Out, "trace.json")
	args := append([]string{"pretrain"}, k.stepModels()[0].flags...)
	args = append(args, "--data", filepath.Join(k.path("data"), "train*"), "--tokenizer",
		filepath.Join(k.path("data"), "tokenizer.json"), "--out", filepath.Join(k.work, "traced"),
		"--steps", "10", "--save-every", "0", "--eval-tokens", "0", "--no-tune", "--tune-cache", k.tuneCache(),
		"--trace", file, "--trace-steps", "2")
	if _, err := k.start(ctx, command{args: k.steplm(args...)}); err != nil {
		return err
	}
	t, err := readTrace(file)
	if err != nil {
		return err
	}
	r.set("file", filepath.Base(file))
	r.set("timed_by", t.clock)
	r.set("dispatches", float64(t.dispatches))
	r.set("dispatches_ms", t.total)
	r.set("longest_submission_ms", t.submission)
	r.set("longest_dispatch_ms", t.longest)
	r.table = []string{"| kernel | ms | of all | GFLOP/s |", "|---|---|---|---|"}
	for _, s := range t.kernels[:min(12, len(t.kernels))] {
		r.table = append(r.table, fmt.Sprintf("| %s | %s | %.1f %% | %s |", s.name, figure(s.ms), 100*s.ms/t.total,
			figure(s.work/s.ms/1e6)))
	}
	k.say("%d dispatches in %.1f ms, the longest submission %.1f ms; the first kernels: %s", t.dispatches, t.total,
		t.submission, strings.Join(r.table[2:min(5, len(r.table))], " "))
	const watchdog = 2000 // milliseconds after which Windows resets a GPU
	if t.submission > watchdog/2 && k.summary.kind != "cpu" {
		r.fail("a submission took %.0f ms: watchdogs of %d ms are near", t.submission, watchdog)
	}
	return nil
}

// kernelTime is a kernel's time in a trace.
type kernelTime struct {
	name     string
	ms, work float64
}

// traced is what a trace comes to.
type traced struct {
	clock                      string
	dispatches                 int
	total, submission, longest float64 // in milliseconds
	kernels                    []kernelTime
}

func readTrace(path string) (t traced, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return t, err
	}
	var file struct {
		Other  map[string]string `json:"otherData"`
		Events []struct {
			Name  string  `json:"name"`
			Phase string  `json:"ph"`
			Took  float64 `json:"dur"` // microseconds
			Args  struct {
				Name       string  `json:"name"`
				Submission float64 `json:"submission"`
				Work       float64 `json:"work"`
				Pass       *string `json:"pass"`
			} `json:"args"`
		} `json:"traceEvents"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return t, fmt.Errorf("%s: %w", path, err)
	}
	t.clock = file.Other["dispatches timed by"]
	at, per := map[string]int{}, map[float64]float64{}
	for _, e := range file.Events {
		if e.Phase != "X" || e.Args.Pass == nil { // Dispatches alone have a pass.
			continue
		}
		ms := e.Took / 1e3
		i, ok := at[e.Name]
		if !ok {
			i = len(t.kernels)
			at[e.Name] = i
			t.kernels = append(t.kernels, kernelTime{name: e.Name})
		}
		t.kernels[i].ms += ms
		t.kernels[i].work += e.Args.Work
		t.dispatches, t.total, t.longest = t.dispatches+1, t.total+ms, max(t.longest, ms)
		per[e.Args.Submission] += ms
	}
	for _, ms := range per {
		t.submission = max(t.submission, ms)
	}
	slices.SortStableFunc(t.kernels, func(a, b kernelTime) int {
		switch {
		case a.ms > b.ms:
			return -1
		case a.ms < b.ms:
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return t, nil
}
