package stories

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/stage"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
)

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// hold locks a folder as another process would.
func hold(t *testing.T, dir string) (release func() error) {
	t.Helper()
	f, err := record.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f.Close
}

func TestOpenFolderRefuses(t *testing.T) {
	r := recipetest.Must(t, "step", recipetest.Tiny())
	begun := func(t *testing.T) string {
		dir := filepath.Join(t.TempDir(), "run")
		f, err := stage.CreateFolder(dir, r, nil)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		return dir
	}
	t.Run("no run", func(t *testing.T) {
		for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "nothing")} {
			_, err := stage.OpenFolder(dir, r)
			recipetest.WantError(t, err, dir, "holds no run", record.RecipeFile)
		}
	})
	t.Run("another recipe", func(t *testing.T) {
		dir := begun(t)
		for _, c := range []struct {
			change func(*recipe.Options)
			want   []string
		}{
			{func(o *recipe.Options) { o.Seed = 8 }, []string{"seed is 7 there and 8 here"}},
			{func(o *recipe.Options) { o.LR = []float64{1e-2, 2e-2} },
				[]string{"stages[1].lr is 0.01 there and 0.02 here"}},
			{func(o *recipe.Options) { o.LoRA.Targets = []string{"wq"} },
				[]string{"adapter.targets[1] is wk there and absent here"}},
			{func(o *recipe.Options) { o.Data.Tokenizer = "new" },
				[]string{"data.tokenizer is absent there and new here"}},
			{func(o *recipe.Options) { o.Batch.SeqLen = 16 }, []string{"micro_batch.seq_len is 8 there and 16 here"}},
		} {
			o := recipetest.Tiny()
			c.change(&o)
			_, err := stage.OpenFolder(dir, recipetest.Must(t, "step", o))
			recipetest.WantError(t, err, append(c.want, dir, "another recipe")...)
		}
	})
	t.Run("locked", func(t *testing.T) {
		dir := begun(t)
		release := hold(t, dir)
		_, err := stage.OpenFolder(dir, r)
		recipetest.WantError(t, err, dir, "another process")
		release()
		f, err := stage.OpenFolder(dir, r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = stage.OpenFolder(dir, r); err == nil {
			t.Error("a folder was opened twice")
		}
		f.Close()
	})
	t.Run("damaged recipe", func(t *testing.T) {
		for text, want := range map[string]string{
			"":                            "EOF",
			`{"format": 3`:                "EOF",
			`{"format": 2, "metod": "s"}`: `"metod"`,
			`{"format": 3, "metod": "s"}`: `"metod"`,
			`{"format": 1}`:               "format 1, this program reads 2 and 3",
			`{"format": 2, "method": {}}`: "method",
			`{"format": 3, "method": {}}`: "method",
			`{"format": 3, "optimizer": {"name": "adamv"}}`:               `optimizer "adamv": choose one of`,
			`{"format": 3, "optimizer": {"name": "adamw", "beta3": 0}}`:   `adamw: json: unknown field "beta3"`,
			`{"format": 2, "optimizer": {"name": "adamw", "beta1": 0.5}}`: `"name"`,
		} {
			dir := t.TempDir()
			write(t, filepath.Join(dir, record.RecipeFile), text)
			_, err := stage.OpenFolder(dir, r)
			recipetest.WantError(t, err, filepath.Join(dir, record.RecipeFile), want)
		}
	})
}

// ended is a finished story on the host.
func ended(t *testing.T, change func(*story)) story {
	t.Helper()
	s := newStory(t)
	if change != nil {
		change(&s)
	}
	if err := s.run(context.Background(), gpu.NewHost()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s story) checkpoint(t testing.TB) string {
	t.Helper()
	name, _, err := record.LastCheckpoint(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	return record.CheckpointAt(s.Dir, name)
}

func TestKeep(t *testing.T) {
	for keep, want := range map[int][]string{
		0: {"step-2", "step-3", "step-4", "step-6", "step-8"},
		1: {"step-8"},
		2: {"step-6", "step-8"},
	} {
		s := ended(t, func(s *story) { s.Keep = keep })
		entries, err := os.ReadDir(filepath.Join(s.Dir, "checkpoints"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if want := append([]string{"LATEST"}, want...); !slices.Equal(names, want) {
			t.Errorf("keep %d: %v, want %v", keep, names, want)
		}
	}
}

// One flipped bit in any file of the checkpoint is found and named.
func TestResumeFlippedByte(t *testing.T) {
	s := ended(t, nil)
	for _, file := range []string{record.StateFile, model.LayoutFile, model.WeightsFile, optimizerFile} {
		path := filepath.Join(s.checkpoint(t), file)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad := slices.Clone(good)
		bad[len(bad)/2] ^= 1
		write(t, path, string(bad))
		d := gpu.NewHost()
		recipetest.WantError(t, s.run(context.Background(), d), s.checkpoint(t), file, "use another checkpoint")
		if n := d.Ledger().Total(); n != 0 {
			t.Errorf("%d bytes are left on the device", n)
		}
		write(t, path, string(good[:len(good)-1]))
		recipetest.WantError(t, s.run(context.Background(), d), s.checkpoint(t), file, fmt.Sprint(len(good)))
		write(t, path, string(good))
	}
	if err := s.run(context.Background(), gpu.NewHost()); err != nil {
		t.Errorf("after repair: %v", err)
	}
}

func TestResumeRefuses(t *testing.T) {
	resume := func(s story) error { return s.run(context.Background(), gpu.NewHost()) }
	t.Run("lost checkpoint", func(t *testing.T) {
		s := ended(t, nil)
		if err := os.RemoveAll(s.checkpoint(t)); err != nil {
			t.Fatal(err)
		}
		recipetest.WantError(t, resume(s), "LATEST", "step-8", "gone")
	})
	t.Run("other data", func(t *testing.T) {
		s := ended(t, nil)
		s.Shards = t.TempDir()
		if err := datatest.WriteShard(filepath.Join(s.Shards, "0.parquet"), []datatest.Row{{Text: "other"}},
			datatest.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		recipetest.WantError(t, resume(s), "cursor", "data")
	})
	t.Run("a checkpoint of another run", func(t *testing.T) {
		s, other := ended(t, nil), ended(t, func(s *story) { s.Recipe.Seed++ })
		if err := os.RemoveAll(s.checkpoint(t)); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(other.checkpoint(t), record.CheckpointAt(s.Dir, "step-8")); err != nil {
			t.Fatal(err)
		}
		recipetest.WantError(t, resume(s), "another recipe", s.Recipe.Hash()[:12], other.Recipe.Hash()[:12])
	})
	for name, c := range map[string]struct {
		change func(state map[string]any)
		want   []string
	}{
		"stage that is not there": {func(s map[string]any) { s["stage"] = 2 }, []string{"stage 3", "2 stages"}},
		"step that is not there":  {func(s map[string]any) { s["step"] = 9 }, []string{"step 9", "8 steps"}},
		"blocks of another stage": {func(s map[string]any) { s["stage"] = 0 }, []string{"[0 2 3 1]", "[0 1]"}},
		"blocks in another order": {func(s map[string]any) { slices.Reverse(s["order"].([]any)) },
			[]string{"[1 3 2 0]", "[0 2 3 1]"}},
		"cursor out of this world": {func(s map[string]any) {
			s["cursor"].(map[string]any)["sources"].([]any)[0].(map[string]any)["shard"] = 99
		}, []string{"cursor", "99"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := ended(t, nil)
			rewrite(t, s.checkpoint(t), func(name string, text []byte) []byte {
				if name != record.StateFile {
					return text
				}
				var st map[string]any
				numbers := json.NewDecoder(bytes.NewReader(text))
				numbers.UseNumber()
				if err := numbers.Decode(&st); err != nil {
					t.Fatal(err)
				}
				c.change(st)
				text, _ = json.Marshal(st)
				return text
			})
			d := gpu.NewHost()
			recipetest.WantError(t, s.run(context.Background(), d), c.want...)
			if n := d.Ledger().Total(); n != 0 {
				t.Errorf("%d bytes are left on the device", n)
			}
		})
	}
	t.Run("a tensor is missing", func(t *testing.T) {
		s := ended(t, nil)
		rewrite(t, s.checkpoint(t), func(name string, text []byte) []byte {
			if name != model.WeightsFile {
				return text
			}
			return []byte(strings.Replace(string(text), "blocks.0.wq.lora_a", "blocks.0.wq.lora_x", 1))
		})
		recipetest.WantError(t, resume(s), model.WeightsFile, "blocks.0.wq.lora_a")
	})
}

// rewrite replaces a checkpoint by one with changed files and right checksums.
func rewrite(t *testing.T, dir string, change func(name string, text []byte) []byte) {
	t.Helper()
	out, err := checkpoint.Begin(filepath.Dir(dir), filepath.Base(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{record.StateFile, model.WeightsFile, optimizerFile} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		f, err := out.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(change(name, text)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Commit(); err != nil {
		t.Fatal(err)
	}
}

// A save that fails ends the run with what is in the way; nothing that was
// saved before is lost, and once the way is free the run goes on.
func TestFailedSave(t *testing.T) {
	want, _ := straight(t, newStory(t), gpu.NewHost())
	for name, block := range map[string]func(t *testing.T, s story) (path string){
		"a file in a checkpoint's place": func(t *testing.T, s story) string {
			path := record.CheckpointAt(s.Dir, "step-6")
			write(t, path, "precious")
			return path
		},
		"a directory in a checkpoint's place": func(t *testing.T, s story) string {
			path := record.CheckpointAt(s.Dir, "step-6")
			write(t, filepath.Join(path, "file"), "precious")
			return path
		},
		"a file in the final model's place": func(t *testing.T, s story) string {
			path := filepath.Join(s.Dir, record.FinalDir)
			write(t, path, "precious")
			return path
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			path := ""
			s.Hook = func(p string) {
				if p == "step 5" {
					path = block(t, s)
				}
			}
			d := gpu.NewHost()
			recipetest.WantError(t, s.run(context.Background(), d), path, "not replaced")
			if n := d.Ledger().Total(); n != 0 {
				t.Errorf("%d bytes are left on the device", n)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("what was in the way is gone: %v", err)
			}
			if err := checkpoint.Verify(s.checkpoint(t)); err != nil {
				t.Errorf("the checkpoint before: %v", err)
			}
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			s.Hook = nil
			if err := s.run(context.Background(), d); err != nil {
				t.Fatal(err)
			}
			checkTold(t, s, want)
		})
	}
}

// A loss that is not finite ends the run with what to do.
func TestRunEndsWithNonFinite(t *testing.T) {
	s := newStory(t)
	s.Recipe.Stages[0].LR, s.Eval = 1e30, 0
	d := gpu.NewHost()
	recipetest.WantError(t, s.run(context.Background(), d), "step 2", "nothing was updated", "last checkpoint")
	if n := d.Ledger().Total(); n != 0 {
		t.Errorf("%d bytes are left on the device", n)
	}
}
