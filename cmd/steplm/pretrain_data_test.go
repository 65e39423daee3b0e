package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/data/datatest"
)

// scoredShard writes 40 documents in row groups of 4, with scores 0 to 4 and
// every second one French.
func scoredShard(t *testing.T, path string) {
	t.Helper()
	var rows []datatest.Row
	for i := range 40 {
		rows = append(rows, datatest.Row{
			Text:  fmt.Sprintf("document %d. %s", i, strings.Repeat(text, 1+i%3)),
			Score: float64(i % 5), Language: []string{"en", "fr"}[i%2],
		})
	}
	if err := datatest.WriteShard(path, rows, datatest.WriteOptions{Codec: "none", RowGroup: 4}); err != nil {
		t.Fatal(err)
	}
}

// damageText overwrites the length of a text in a shard that is not compressed.
func damageText(t *testing.T, path, text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte(text))
	if at < 4 {
		t.Fatalf("no %q in %s", text, path)
	}
	copy(b[at-4:], []byte{0xFF, 0xFF, 0xFF, 0x7F})
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestPretrainBadShard(t *testing.T) {
	m := newMaterial(t)
	shard := filepath.Join(t.TempDir(), "shard.parquet")
	scoredShard(t, shard)
	damageText(t, shard, "document 9.")
	refused(t, m, 1, []string{shard, "row group 2", `column "text"`}, "--data", shard, "--device", "host")

	run := newRun(t)
	flags := func(more ...string) []string {
		return m.pretrain(run, append([]string{"--data", shard, "--device", "host"}, more...)...)
	}
	stdout, stderr, code := call(t, "", flags("--skip-bad")...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if !strings.Contains(stderr, "steplm: warning: skipped 4 rows: "+shard+": row group 2") ||
		strings.Count(stderr, "skipped 4 rows") != 1 {
		t.Errorf("standard error %q", stderr)
	}
	for _, part := range []string{"rows read", "40 rows read", " 4 skipped", " 0 filtered",
		"256 tokens seen, in epoch 1"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("no %q in %q", part, stdout)
		}
	}
	fail(t, 1, []string{"--skip-bad false", "begun with true"}, flags("--resume", run, "--skip-bad=false")...)
	succeed(t, "", flags("--resume", run)...)
	succeed(t, "", flags("--resume", run, "--skip-bad")...)
}

// Filters are part of what a run reads.
func TestPretrainFilters(t *testing.T) {
	m := newMaterial(t)
	shard := filepath.Join(t.TempDir(), "shard.parquet")
	scoredShard(t, shard)
	run := newRun(t)
	filters := []string{"--min-score", "2", "--language", "en", "--max-chars", "250", "--dedupe"}
	flags := func(more ...string) []string {
		return m.pretrain(run, append([]string{"--data", shard, "--device", "host"}, more...)...)
	}
	out := succeed(t, "", flags(append(filters, "--steps", "64")...)...)
	for _, part := range []string{"by score", "by language", "long", "0 duplicates", "0 skipped", "2,048 tokens seen"} {
		if !strings.Contains(strings.ReplaceAll(out, "2048", "2,048"), part) {
			t.Errorf("no %q in %q", part, out)
		}
	}
	fail(t, 1, []string{"--min-score 3", "begun with 2"}, flags("--steps", "64", "--resume", run, "--min-score",
		"3")...)
	succeed(t, "", "pretrain", "--resume", run, "--device", "host")

	refused(t, m, 1, []string{"filter", "maximum of 1 characters", "minimum of 2"}, "--min-chars", "2", "--max-chars",
		"1", "--device", "host")
	refused(t, m, 1, []string{"fewer than one batch", "40 of 40 rows were left out"}, "--data", shard, "--min-score",
		"99", "--device", "host")
	t.Run("without the column", func(t *testing.T) {
		rows := datatest.Path(t, "parquet/fineweb_rows/gneissweb_test_01.parquet")
		refused(t, m, 1, []string{`no column "score"`, "min-score 3", "language"}, "--data", rows, "--min-score", "3",
			"--device", "host")
	})
}
