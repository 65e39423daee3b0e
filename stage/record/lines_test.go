package record

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/stage/eval"
)

// plain is a result in its plain form.
func plain(r eval.Result) Result {
	p, err := Plain(r)
	if err != nil {
		panic(err)
	}
	return p
}

// one has one event of each kind, every field of it set, with its line.
var one = []struct {
	event Event
	line  string
}{
	{
		Metrics{
			Step: 3, Stage: 1, Loss: 6.25, LR: 0.5, GradNorm: 1.5, Tokens: 192, TokensPerSecond: 8.5,
			FLOPsPerSecond: 2e9, FLOPs: 5e9,
			Bytes: map[string]int64{"weights": 8, "scratch": 16}, OuterBytes: 32, Peaks: Peaks{24, 1024},
		},
		`{"step":3,"stage":1,"loss":6.25,"lr":0.5,"grad_norm":1.5,"tokens":192,"tokens_per_second":8.5,"flops_per_second":2000000000,"flops":5000000000,` +
			`"bytes":{"scratch":16,"weights":8},"outer_bytes":32,"peak_bytes":24,"process_peak_bytes":1024}`,
	},
	{
		Growth{Transition{At{3, 2, Peaks{32, 2048}}, 2, 4, []int{1, 2}, "how it was read", 500, 600, 0.25}},
		`{"event":"growth","step":3,"stage":2,"peak_bytes":32,"process_peak_bytes":2048,"from_layers":2,"to_layers":4,"new_blocks":[1,2],` +
			`"note":"how it was read","trainable_parameters":500,"frozen_parameters":600,"seconds":0.25}`,
	},
	{
		Transition{At: At{3, 2, Peaks{32, 2048}}, From: 2, To: 2, Trainable: 500, Frozen: 600, Seconds: 0.25},
		`{"event":"transition","step":3,"stage":2,"peak_bytes":32,"process_peak_bytes":2048,"from_layers":2,"to_layers":2,"new_blocks":null,` +
			`"trainable_parameters":500,"frozen_parameters":600,"seconds":0.25}`,
	},
	{
		Evaluation{At{4, 2, Peaks{32, 2048}}, "every", "unigram", plain(eval.PerplexityOf("unigram", 9, 8)), 0.5},
		`{"event":"eval","step":4,"stage":2,"peak_bytes":32,"process_peak_bytes":2048,"when":"every","set":"unigram",` +
			`"result":{"name":"unigram","perplexity":9,"unit":"token","tokens":8,"detail":null},"seconds":0.5}`,
	},
	{
		Samples{At{4, 2, Peaks{32, 2048}}, "every", []Sample{{"Once", []uint32{5, 0}, " upon", " a", "eos"}}, 0.5},
		`{"event":"samples","step":4,"stage":2,"peak_bytes":32,"process_peak_bytes":2048,"when":"every",` +
			`"samples":[{"prompt":"Once","ids":[5,0],"text":" upon","reference":" a","finish_reason":"eos"}],"seconds":0.5}`,
	},
	{
		Checkpoint{At{4, 2, Peaks{32, 2048}}, "step-4", 0.5},
		`{"event":"checkpoint","step":4,"stage":2,"peak_bytes":32,"process_peak_bytes":2048,"checkpoint":"step-4","seconds":0.5}`,
	},
	{
		Rollback{At{4, 2, Peaks{32, 2048}}, "step-4", 6, 9.5, 30, true, 3.5, 2, 1},
		`{"event":"rollback","step":4,"stage":2,"peak_bytes":32,"process_peak_bytes":2048,"checkpoint":"step-4",` +
			`"spike_step":6,"loss":9.5,"grad_norm":30,"not_finite":true,"median_loss":3.5,"median_grad_norm":2,` +
			`"rollbacks":1}`,
	},
	{
		Best{At{4, 2, Peaks{32, 2048}}, "step-2", 2, "holdout", 2.5, true},
		`{"event":"best","step":4,"stage":2,"peak_bytes":32,"process_peak_bytes":2048,"checkpoint":"step-2",` +
			`"best_step":2,"set":"holdout","loss":2.5,"early":true}`,
	},
	{
		Round{At{4, 2, Peaks{32, 2048}}, 192, []Share{{0, "coordinator", 128, ""}, {2, "a laptop", 64, ""}},
			[]Share{{3, "another", 0, "it was too late"}}, 1000, 2000, 0.5},
		`{"event":"round","step":4,"stage":2,"peak_bytes":32,"process_peak_bytes":2048,"tokens":192,` +
			`"shares":[{"process":0,"name":"coordinator","share_tokens":128},` +
			`{"process":2,"name":"a laptop","share_tokens":64}],` +
			`"missing":[{"process":3,"name":"another","why":"it was too late"}],` +
			`"sent_bytes":1000,"received_bytes":2000,"waited_seconds":0.5}`,
	},
	{
		Failure{At{4, 2, Peaks{32, 2048}}, "step 5: the loss is NaN", true},
		`{"event":"failure","step":4,"stage":2,"peak_bytes":32,"process_peak_bytes":2048,` +
			`"error":"step 5: the loss is NaN","diverged":true}`,
	},
	{
		Resume{At{4, 2, Peaks{32, 2048}}, "step-4", "a device"},
		`{"event":"resume","step":4,"stage":2,"peak_bytes":32,"process_peak_bytes":2048,"checkpoint":"step-4","device":"a device"}`,
	},
	{End{At{4, 2, Peaks{32, 2048}}, "final"},
		`{"event":"end","step":4,"stage":2,"peak_bytes":32,"process_peak_bytes":2048,"checkpoint":"final"}`},
}

// What was written is read back with its type and every value, from a file as from a line.
func TestEveryEventIsReadBack(t *testing.T) {
	dir := t.TempDir()
	w, _, err := Append(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	var want []Event
	text := ""
	for _, o := range one {
		if err := w.Write(o.event); err != nil {
			t.Fatal(err)
		}
		kinds[o.event.Kind()] = true
		want, text = append(want, o.event), text+o.line+"\n"
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if !kinds[e.Kind()] {
			t.Errorf("%T is not tested", e)
		}
	}
	written, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text, string(written)); diff != "" {
		t.Errorf("(-want +written):\n%s", diff)
	}
	var got []Event
	for e, err := range Read(dir) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-wrote +read):\n%s", diff)
	}
	for i, e := range got {
		if reflect.TypeOf(e) != reflect.TypeOf(want[i]) {
			t.Errorf("%T is read as %T", want[i], e)
		}
		if at := e.Moment(); at.Step < 3 || at.Stage < 1 || at.PeakBytes == 0 || at.ProcessPeak == 0 {
			t.Errorf("%T happened at %+v", e, at)
		}
	}
}

// A result is what it was, number by number, once it is decoded into its type; and only an object is one.
func TestResultIsReadBack(t *testing.T) {
	want := eval.Result{
		Task: "choices", Metrics: map[string]eval.Metric{"accuracy": {Value: 0.1 + 0.2, StdErr: 1. / 3}},
		Protocol: eval.Protocol{Unit: "choice", Context: 16},
	}
	line, err := Encode(Evaluation{Set: "choices", Result: plain(want)})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Decode(line)
	if err != nil {
		t.Fatal(err)
	}
	var got eval.Result
	if err := e.(Evaluation).Result.Into(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := Plain(3); err == nil {
		t.Error("a number is a result")
	}
}

func TestDecodeErrors(t *testing.T) {
	for line, want := range map[string]string{
		`{"event":"party","step":1}`:             `no event "party"`,
		`{"event":"end","step":"last"}`:          "not a line of metrics",
		`{"event":"eval","step":1,"result":"x"}`: "not a line of metrics",
		`{"step":1,"loss":2}`:                    "neither an event nor a step",
	} {
		if _, err := Decode([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

// A run that is resumed goes on behind the lines that it keeps.
func TestWriterKeeps(t *testing.T) {
	dir := t.TempDir()
	w, _, err := Append(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range one {
		if err := w.Write(o.event); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			if err := w.Keep(); err != nil {
				t.Fatal(err)
			}
		}
	}
	kept, err := w.Kept()
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(len(one[0].line) + len(one[1].line) + 2); kept != want {
		t.Errorf("%d bytes are kept, want %d", kept, want)
	}
	w.Close()
	note := ""
	if w, note, err = Append(dir, kept); err != nil || note != "" {
		t.Fatal(note, err)
	}
	defer w.Close()
	if err := w.Write(one[6].event); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	if want := one[0].line + "\n" + one[1].line + "\n" + one[6].line + "\n"; string(text) != want {
		t.Errorf("got\n%s, want\n%s", text, want)
	}
}

// Metrics that are not what a checkpoint knew are gone on with after their whole lines, and that is said; no byte is
// made up.
func TestAppendToShorterMetrics(t *testing.T) {
	const whole = "{\"a\":1}\n{\"b\":2}\n"
	for _, tt := range []struct {
		name, there string // "-": no file
		size        int64
		want        string
		noted       bool
	}{
		{"as it was", whole, int64(len(whole)), whole, false},
		{"longer", whole + "{\"c\":3}\n", int64(len(whole)), whole, false},
		{"shorter", whole, 1000, whole, true},
		{"torn", whole + "{\"c\"", 1000, whole, true},
		{"torn at the size", whole + "{\"c\"", int64(len(whole)) + 3, whole, true},
		{"another file", "no line at all", 5, "", true},
		{"a long last line", whole + strings.Repeat("x", 200<<10), 1 << 20, whole, true},
		{"empty", "", 100, "", true},
		{"missing", "-", 100, "", true},
		{"missing and new", "-", 0, "", false},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, File)
		if tt.there != "-" {
			write(t, path, tt.there)
		}
		w, note, err := Append(dir, tt.size)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if (note != "") != tt.noted || tt.noted && !strings.Contains(note, path) {
			t.Errorf("%s: the note is %q", tt.name, note)
		}
		if kept, err := w.Kept(); err != nil || kept != int64(len(tt.want)) {
			t.Errorf("%s: %d bytes are kept (%v), want %d", tt.name, kept, err, len(tt.want))
		}
		w.Close()
		if text, err := os.ReadFile(path); err != nil || string(text) != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, text, err, tt.want)
		}
	}
}

// A link in the metrics' place leads out of the run: what it leads to is not cut.
func TestAppendRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	thesis := filepath.Join(t.TempDir(), "thesis")
	write(t, thesis, "years of work")
	if err := os.Symlink(thesis, filepath.Join(dir, File)); err != nil {
		t.Skip("no links here: ", err)
	}
	if _, _, err := Append(dir, 0); err == nil || !strings.Contains(err.Error(), File+" is no file") {
		t.Errorf("error %v", err)
	}
	if text, err := os.ReadFile(thesis); err != nil || string(text) != "years of work" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.Remove(filepath.Join(dir, File)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, File), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Append(dir, 0); err == nil || !strings.Contains(err.Error(), "is no file") {
		t.Errorf("a folder: error %v", err)
	}
}

// A last line without its end is one that is being written.
func TestReadLeavesOutATornLastLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), File)
	for n := range len(one[1].line) {
		write(t, path, one[0].line+"\n"+one[1].line[:n])
		events := 0
		for _, err := range Read(path) {
			if err != nil {
				t.Fatalf("%d bytes of the last line: %v", n, err)
			}
			events++
		}
		if events != 1 {
			t.Fatalf("%d bytes of the last line: %d events", n, events)
		}
	}
}
