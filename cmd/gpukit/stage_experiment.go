package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// experiment runs the command lines of a file, each a line of steplm's arguments, in order, as far as
// the time goes. {data} stands for the kit's data, {out} for a folder of the experiment's own; a # begins
// a comment. The metrics of runs in {out} are kept.
func experiment(ctx context.Context, k *kit, r *result) error {
	path := k.Experiment
	if path == "" {
		path = k.path("experiment.txt")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	out := filepath.Join(k.work, "experiment")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	defer func() { r.note("%s", keepMetrics(out, filepath.Join(k.Out, "experiment.jsonl"))) }()
	r.table = []string{"| command | seconds | exit code |", "|---|---|---|"}
	for _, line := range strings.Split(string(b), "\n") {
		line, _, _ = strings.Cut(line, "#")
		args := strings.Fields(line)
		if len(args) == 0 {
			continue
		}
		for i := range args {
			args[i] = strings.NewReplacer("{data}", k.path("data"), "{out}", out).Replace(args[i])
		}
		e, err := k.start(ctx, command{args: k.steplm(args...)})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.table = append(r.table, fmt.Sprintf("| `%s` | %.0f | %d |", strings.Join(strings.Fields(line), " "),
			e.took.Seconds(), e.code))
		r.save()
		k.say("%s: exit code %d after %.0f s", strings.TrimSpace(line), e.code, e.took.Seconds())
		if err != nil {
			r.fail("%v", err)
		}
	}
	return nil
}

// keepMetrics puts the metrics of all runs of a folder into one file, each line after its run's name,
// and says what it kept.
func keepMetrics(from, to string) string {
	list := matches([]string{filepath.Join(from, "*", "metrics.jsonl")})
	if len(list) == 0 {
		return "no run left metrics"
	}
	var all strings.Builder
	for _, path := range list {
		b, err := os.ReadFile(path)
		if err != nil {
			return err.Error()
		}
		run := filepath.Base(filepath.Dir(path))
		for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
			if rest, ok := strings.CutPrefix(line, "{"); ok {
				fmt.Fprintf(&all, "{\"run\":%q,%s\n", run, rest)
			}
		}
	}
	if err := os.WriteFile(to, []byte(all.String()), 0o644); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d runs' metrics are in %s", len(list), filepath.Base(to))
}
