package stories

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/data"
	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/sample"
	"steplm/stage"
	"steplm/stage/eval"
	"steplm/stage/outer"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
	"steplm/stage/samples"
	"steplm/stage/trainer"
)

// byteTokenizer has one id per byte, and 256 for the end of a text.
type byteTokenizer struct{}

func (byteTokenizer) Encode(s string) ([]uint32, error) {
	ids := make([]uint32, len(s))
	for i := range len(s) {
		ids[i] = uint32(s[i])
	}
	return ids, nil
}
func (byteTokenizer) Decode(ids []uint32) (string, error) {
	text := make([]byte, 0, len(ids))
	for _, id := range ids {
		text = append(text, byte(id))
	}
	return strings.ToValidUTF8(string(text), "\uFFFD"), nil
}
func (byteTokenizer) VocabSize() int            { return 257 }
func (byteTokenizer) EndOfText() (uint32, bool) { return 256, true }

// optimizerFile is what a checkpoint calls the tensors besides the model's.
const optimizerFile = "optimizer.safetensors"

// story is a whole run in a folder, over Parquet shards: what tests start,
// stop, kill and resume.
type story struct {
	Recipe recipe.Recipe
	Shards string // a directory
	Dir    string // of the run
	Keep   int
	Eval   int64 // tokens of each evaluation
	Sample int   // steps between samples; 0: none
	// Hook hears of every batch, cursor, step, event and export, and of what is waited for.
	Hook func(point string)
	Warn func(text string) // as Report has it
	// Compiling hears, unless it is nil, that kernels are compiled.
	Compiling func()
	// Peers are the other processes of its rounds; the order of the data is then Seed's.
	Peers outer.Peers
	Seed  uint64
	Event func(record.Event)
}

func newStory(t testing.TB) story {
	t.Helper()
	dir := t.TempDir()
	for shard := range 2 {
		var rows []datatest.Row
		for i := range 20 {
			rows = append(rows, datatest.Row{Text: fmt.Sprintf("document %d of shard %d, %s", i, shard,
				strings.Repeat("abc ", i%5))})
		}
		if err := datatest.WriteShard(filepath.Join(dir, fmt.Sprintf("%d.parquet", shard)), rows,
			datatest.WriteOptions{RowGroup: 7}); err != nil {
			t.Fatal(err)
		}
	}
	return story{Recipe: recipetest.Must(t, "step", recipetest.Story()), Shards: dir, Dir: filepath.Join(t.TempDir(),
		"run"), Keep: 2, Eval: 1, Sample: 3}
}

// in is the same story in another folder.
func (s story) in(dir string) story { s.Dir = dir; return s }

// hooked tells of batches.
type hooked struct {
	trainer.Batches
	hook func(string)
}

func (h hooked) Next(ctx context.Context) (data.Batch, error) {
	h.hook("batch")
	return h.Batches.Next(ctx)
}

// saving is a device that tells when a save has begun: it then reads the embedding.
type saving struct {
	gpu.Device
	hook func(string)
}

func (d saving) Read(t gpu.Tensor, at int, words []uint32) error {
	if t.Name == "embed" && at == 0 {
		d.hook("save")
	}
	return d.Device.Read(t, at, words)
}

// heldTask scores one fixed batch in the trainer's own buffers.
type heldTask struct{}

func (heldTask) Name() string { return "held" }

func (heldTask) Run(ctx context.Context, m eval.Model, _ eval.Options) (eval.Result, error) {
	if err := ctx.Err(); err != nil {
		return eval.Result{}, err
	}
	n := m.Batch() * m.SeqLen()
	ids := make([]uint32, n+1)
	for i := range ids {
		ids[i] = uint32(i * 37 % 257)
	}
	losses, err := m.Losses(ids[:n], ids[1:], nil)
	if err != nil {
		return eval.Result{}, err
	}
	sum := 0.0
	for _, x := range losses {
		sum += float64(x)
	}
	return eval.PerplexityOf("held", math.Exp(sum/float64(n)), int64(n)), nil
}

// run begins the run, or resumes it when its folder is there. A panic of the
// hook leaves everything on the disk as a kill would.
func (s story) run(ctx context.Context, d gpu.Device) error {
	hook := s.Hook
	if hook == nil {
		hook = func(string) {}
	}
	shards, err := data.Open(s.Shards)
	if err != nil {
		return err
	}
	// Small blocks, so that the cursor crosses some.
	l, err := data.NewMixture([]data.Source{{Shards: shards, Weight: 1}}, byteTokenizer{},
		data.Options{BatchSize: s.Recipe.Batch.Batch, SeqLen: s.Recipe.Batch.SeqLen, Seed: s.Recipe.Seed + s.Seed,
			BlockWindows: 6, Shuffle: true})
	if err != nil {
		return err
	}
	defer l.Close()
	open := func(dir string, r recipe.Recipe) (*stage.Folder, error) { return stage.CreateFolder(dir, r, nil) }
	begin := (*stage.Run).Start
	if _, err := os.Stat(filepath.Join(s.Dir, record.RecipeFile)); err == nil {
		open, begin = stage.OpenFolder, (*stage.Run).Resume
	}
	f, err := open(s.Dir, s.Recipe)
	if err != nil {
		return err
	}
	defer f.Close()
	run := &stage.Run{
		Recipe: s.Recipe, Device: saving{d, hook}, Batches: hooked{l, hook}, Folder: f, Tasks: []eval.Task{heldTask{}},
		SaveEvery: 2, EvalEvery: 1, Keep: s.Keep, EvalTokens: s.Eval,
		FinalEvalTokens: 1 << 40, Peers: s.Peers,
		Samples: samples.Plan{Every: s.Sample, Window: s.Recipe.Batch.SeqLen, Ends: []uint32{256},
			Sampling: sample.Config{Temperature: 0.8, TopP: 0.95, Seed: 7},
			Decoder:  byteTokenizer{}, Prompts: []samples.Prompt{{Text: "doc", IDs: []uint32{'d', 'o', 'c'}},
				{Text: "a", IDs: []uint32{256, 'a'}, Begins: true}}},
		Report: stage.Report{
			Step: func(m record.Metrics) { hook(fmt.Sprintf("step %d", m.Step)) },
			Warn: s.Warn, Waiting: func(what string) { hook("wait for " + what) },
			Event: func(e record.Event) {
				if s.Event != nil {
					s.Event(e)
				}
				hook(fmt.Sprintf("%s after step %d in stage %d", e.Kind(), e.Moment().Step, e.Moment().Stage))
			},
		},
		Export: func(_ *model.Model, d *checkpoint.Dir) error {
			hook("export")
			return d.WriteJSON("exported.json", s.Recipe.Steps())
		},
	}
	if s.Compiling != nil {
		run.Report.Compiling = func(int, int, string) { s.Compiling() }
	}
	return begin(run, ctx)
}

// told is what a run says of itself that must not depend on how often it was
// interrupted: the lines of metrics.jsonl but resume and checkpoint events and
// times, and the weights, optimizer state and cursor of the last checkpoint.
func (s story) told(t testing.TB) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.Dir, record.File))
	if err != nil {
		t.Fatal(err)
	}
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		var line map[string]json.RawMessage // numbers keep all their digits
		if err := json.Unmarshal(scan.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v in %q", record.File, err, scan.Text())
		}
		if e := string(line["event"]); e == `"resume"` || e == `"checkpoint"` {
			continue
		}
		delete(line, "tokens_per_second")
		delete(line, "flops_per_second")
		delete(line, "process_peak_bytes")
		delete(line, "seconds")
		b, _ := json.Marshal(line)
		lines = append(lines, string(b))
	}
	last := fmt.Sprintf("step-%d", s.Recipe.Steps())
	if name, _, err := record.LastCheckpoint(s.Dir); err != nil || name != last {
		t.Fatalf("the last checkpoint is %q, %v, want %s", name, err, last)
	}
	sums, err := os.ReadFile(filepath.Join(record.CheckpointAt(s.Dir, last), "checksums.json"))
	if err != nil {
		t.Fatal(err)
	}
	var files map[string]struct{ SHA256 string }
	if err := json.Unmarshal(sums, &files); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{model.WeightsFile, optimizerFile} {
		lines = append(lines, name+" "+files[name].SHA256)
	}
	saved, err := os.ReadFile(filepath.Join(record.CheckpointAt(s.Dir, last), record.StateFile))
	if err != nil {
		t.Fatal(err)
	}
	var now map[string]json.RawMessage
	if err := json.Unmarshal(saved, &now); err != nil {
		t.Fatal(err)
	}
	delete(now, "metrics") // bytes of lines whose times have differing numbers of digits
	b, _ := json.Marshal(now)
	return append(lines, record.StateFile+" "+string(b))
}
