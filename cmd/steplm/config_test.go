package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"steplm/stage/session"
)

// Every option of a Spec is a flag of pretrain, with its default, and every flag of the groups that
// describe a run is an option.
func TestFlagsAreOptions(t *testing.T) {
	flags := map[string]bool{}
	var walk func(reflect.Type)
	walk = func(of reflect.Type) {
		for i := range of.NumField() {
			if f := of.Field(i); f.Anonymous {
				walk(f.Type)
			} else if f.IsExported() {
				flags[string(fieldOption(f))] = true
			}
		}
	}
	walk(reflect.TypeOf(pretrainCmd{}))
	for _, o := range session.Options() {
		if !flags[string(o)] {
			t.Errorf("the option %s has no flag", o)
		}
		delete(flags, string(o))
	}
	for _, own := range []string{
		"config", "write_config", "resume", "json", "device", "gpu_share", "no_tune", "seconds_per_class", "tune_cache", "trace", "trace_steps",
	} {
		delete(flags, own)
	}
	if len(flags) > 0 {
		t.Errorf("flags that are no options of a run: %v", flags)
	}
	out := succeed(t, "", "pretrain", "--write-config")
	var written session.Spec
	if err := json.Unmarshal([]byte(out), &written); err != nil || !reflect.DeepEqual(written, session.Default()) {
		t.Errorf("the flags' defaults are %+v (%v), a Spec's %+v", written, err, session.Default())
	}
}

// A run by a configuration is the run by flags; flags that are given count more; and a folder is all that
// --resume needs, from any directory.
func TestPretrainByConfig(t *testing.T) {
	m := newMaterial(t)
	plain, run := newRun(t), newRun(t)
	flags := m.pretrain(plain, "--device", "host", "--save-every", "3", "--keep", "0")
	config := filepath.Join(t.TempDir(), "run.json")
	text := succeed(t, "", append(flags, "--write-config", "--seed", "7")...)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	succeed(t, "", flags...)
	succeed(t, "", "pretrain", "--config", config, "--seed", "1", "--out", run, "--device", "host")
	if got, want := lossLines(t, run), lossLines(t, plain); got != want {
		t.Errorf("losses\n%s\nby flags\n%s", got, want)
	}
	// As if it had been stopped after step 3, in a folder that has moved.
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(run, moved); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(moved, "checkpoints", "LATEST"), []byte("step-3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := callOf(t.Context(), "pretrain", "--resume", moved, "--device", "host", "--keep", "1")
	c.Dir = t.TempDir()
	if _, stderr, code := finish(t, c, ""); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if got, want := lossLines(t, moved), lossLines(t, plain); got != want {
		t.Errorf("losses of the resumed run\n%s\nwant\n%s", got, want)
	}
	if left := entries(t, filepath.Join(moved, "checkpoints")); len(left) != 2 {
		t.Errorf("--keep 1 left %q", left)
	}

	broken := writeFile(t, "broken.json", strings.Replace(text, `"batch_size"`, `"batchsize"`, 1))
	fail(t, 1, []string{"broken.json", "schedule.batchsize", "did you mean schedule.batch_size?"}, "pretrain", "--config", broken)
	fail(t, 1, []string{"no-such.json"}, "pretrain", "--config", "no-such.json")
	fail(t, 2, []string{"missing flags: --data, --tokenizer, --out, --steps or --tokens"}, "pretrain", "--model", "tiny")
	fail(t, 2, []string{"--config", "--resume"}, "pretrain", "--config", config, "--resume", moved)

	// A run of a version that kept no Spec says so, and goes on with its flags.
	if err := os.Remove(filepath.Join(moved, "spec.json")); err != nil {
		t.Fatal(err)
	}
	fail(t, 1, []string{moved, "earlier version", "repeat the flags"}, "pretrain", "--resume", moved, "--device", "host")
	succeed(t, "", append(m.pretrain(moved, "--device", "host", "--save-every", "3", "--keep", "1"), "--resume", moved)...)
}
