//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// losses are lines of metrics.jsonl with an event among them and a torn last line.
func losses(of func(step int) float64) string {
	var b strings.Builder
	for step := 1; step <= 6; step++ {
		fmt.Fprintf(&b, `{"step":%d,"stage":%d,"loss":%v,"grad_norm":1}`+"\n", step, (step+3)/4, of(step))
		if step == 3 {
			b.WriteString(`{"event":"checkpoint","step":3}` + "\n")
		}
	}
	return b.String() + `{"step":7,"lo`
}

// The stage compares losses step by step, kills a run, and tells a resumed run with other bits.
func TestStepRun(t *testing.T) {
	// The run writes its losses where --out says; bf16's differ by a thousandth in step 5, the first of stage 2.
	run := `out=; resume=
while [ $# -gt 0 ]; do case $1 in --out) out=$2; shift ;; --precision) precision=$2; shift ;; --resume) resume=1; out=$2; shift ;; esac; shift; done
mkdir -p $out/final; [ $resume ] || echo $precision > $out/final/model.safetensors
case $out in
*killed) if [ $resume ]; then cat LOSSES/resumed > $out/metrics.jsonl; else cat LOSSES/long > $out/metrics.jsonl; sleep 1000; fi ;;
*) cat LOSSES/$precision > $out/metrics.jsonl ;; esac`
	for _, c := range []struct {
		resumed float64 // the loss of step 6
		same    string
	}{{1, "yes"}, {1.0000001, "no"}} {
		data := t.TempDir()
		write(t, filepath.Join(data, "f32"), losses(func(int) float64 { return 2 }))
		other := func(last float64) string {
			return losses(func(step int) float64 { return map[int]float64{5: 2.002, 6: last}[step] })
		}
		write(t, filepath.Join(data, "bf16"), other(1))
		write(t, filepath.Join(data, "resumed"), other(c.resumed))
		write(t, filepath.Join(data, "long"), `{"step":45,"stage":2,"loss":1}`+"\n")
		dir := fakeKit(t, map[string]string{"steplm": strings.ReplaceAll(run, "LOSSES", data)})
		write(t, filepath.Join(dir, "reference", "f32.jsonl"), losses(func(int) float64 { return 2 }))
		write(t, filepath.Join(dir, "reference", "bf16.jsonl"),
			losses(func(step int) float64 { return map[int]float64{5: 2, 6: 1}[step] }))
		read, page, err := runKit(t, dir, runCmd{Minutes: 1, Only: []string{"steprun"}})
		if err != nil {
			t.Fatal(err)
		}
		f := part(t, read, "steprun")["figures"].(map[string]any)
		if f["f32_largest_difference"] != 0.0 || f["bf16_largest_difference_at_step"] != 5.0 ||
			f["bf16_largest_difference_until_growth"] != f["bf16_difference_after_growth"] ||
			f["resume_bit_for_bit"] != c.same || f["killed_after_step"] != 45.0 {
			t.Errorf("%v", f)
		}
		if d := f["bf16_difference_after_growth"].(float64); !(d > 9.9e-4 && d < 1.01e-3) ||
			len(f["bf16_differences"].([]any)) != 6 {
			t.Errorf("%v", f)
		}
		if status := part(t, read, "steprun")["status"]; (status == passed) != (c.same == "yes") {
			t.Errorf("resumed with %v: %v", c.resumed, status)
		}
		if goals := read["goals"].([]any); len(goals) != 2 || goals[0].(map[string]any)["met"] != true {
			t.Errorf("%v\n%s", goals, page)
		}
	}
}

// PyTorch's figures come line by line; without PyTorch the stage has nothing to do.
func TestTorch(t *testing.T) {
	dir := fakeKit(t, map[string]string{"steplm": "exit 1"})
	python := filepath.Join(dir, "python")
	script := "#!/bin/sh\n" + `[ "$1" = -c ] && exit 0
echo 'a warning'; echo '{"figure": "130m_fp32_eager_tokens_per_second", "value": 1000}'; echo '{"figure": "130m_bf16_compiled", "failed": "no compiler"}'
echo '{"figure": "torch", "value": "2.11.0"}'`
	write(t, python, script)
	if err := os.Chmod(python, 0o755); err != nil {
		t.Fatal(err)
	}
	read, _, err := runKit(t, dir, runCmd{Minutes: 1, Only: []string{"torch"}, Python: python})
	if err != nil {
		t.Fatal(err)
	}
	s := part(t, read, "torch")
	if f := s["figures"].(map[string]any); f["130m_fp32_eager_tokens_per_second"] != 1000.0 || f["torch"] != "2.11.0" {
		t.Errorf("%v", f)
	}
	if f := fmt.Sprint(s["failures"]); f != "[130m_bf16_compiled: no compiler]" {
		t.Errorf("%v", f)
	}
	for python, why := range map[string]string{"no-such-python": "--python", "false": "has no PyTorch"} {
		read, _, err := runKit(t, dir, runCmd{Minutes: 1, Only: []string{"torch"}, Python: python, Strict: true})
		if s := part(t, read, "torch"); err != nil || s["status"] != skipped ||
			!strings.Contains(s["note"].(string), why) {
			t.Errorf("%s: %v, %v", python, s, err)
		}
	}
}

func TestReadTrace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.json")
	event := func(name string, ms float64, submission int, pass string) string {
		return fmt.Sprintf(`{"name":%q,"ph":"X","ts":0,"dur":%v,"pid":1,"tid":1,"args":{"submission":%d,"work":1e9%s}}`,
			name, 1e3*ms, submission, pass)
	}
	write(t, path,
		`{"otherData":{"dispatches timed by":"stamps"},"traceEvents":[{"name":"thread_name","ph":"M"},`+strings.Join(
			[]string{
				event("a", 1, 1, `,"pass":"train"`), event("b", 5, 1, `,"pass":"train"`), event("a", 3, 2,
					`,"pass":"train"`), event("submission 1", 900, 1, ""),
			}, ",")+`]}`)
	got, err := readTrace(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := (traced{"stamps", 3, 9, 6, 5, []kernelTime{{"b", 5, 1e9},
		{"a", 4, 2e9}}}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// The commands of an experiment run in order with the kit's places filled in, and their metrics are kept.
func TestExperiment(t *testing.T) {
	dir := fakeKit(t, map[string]string{"steplm": `[ "$1" = score ] && exit 3
case $2 in /*/data/train) ;; *) exit 9 ;; esac; mkdir -p $3/run; echo '{"step":1}' > $3/run/metrics.jsonl`})
	file := filepath.Join(t.TempDir(), "mine.txt")
	write(t, file, "# two commands\npretrain {data}/train {out} # the first\nscore\n")
	read, page, err := runKit(t, dir, runCmd{Minutes: 1, Only: []string{"experiment"}, Experiment: file})
	if err != nil {
		t.Fatal(err)
	}
	s := part(t, read, "experiment")
	if s["status"] != failed || s["note"] != "1 runs' metrics are in experiment.jsonl" ||
		!strings.Contains(page, "| `score` | 0 | 3 |") ||
		!strings.Contains(page, "| `pretrain {data}/train {out}` | 0 | 0 |") {
		t.Errorf("%v\n%s", s, page)
	}
}
