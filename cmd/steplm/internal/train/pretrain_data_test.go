package train

import (
	"path/filepath"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data/datatest"
)

func TestPretrainBadShard(t *testing.T) {
	m := clitest.NewMaterial(t)
	shard := filepath.Join(t.TempDir(), "shard.parquet")
	clitest.ScoredShard(t, shard)
	clitest.DamageText(t, shard, "document 9.")
	clitest.Refused(t, m, 1, []string{shard, "row group 2", `column "text"`}, "--data", shard, "--device", "host")

	run := clitest.NewRun(t)
	flags := func(more ...string) []string {
		return m.Pretrain(run, append([]string{"--data", shard, "--device", "host"}, more...)...)
	}
	stdout, stderr, code := clitest.Call(t, "", flags("--skip-bad")...)
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
	clitest.Fail(t, 1, []string{"--skip-bad false", "begun with true"}, flags("--resume", run, "--skip-bad=false")...)
	clitest.Succeed(t, "", flags("--resume", run)...)
	clitest.Succeed(t, "", flags("--resume", run, "--skip-bad")...)
}

// Filters are part of what a run reads.
func TestPretrainFilters(t *testing.T) {
	m := clitest.NewMaterial(t)
	shard := filepath.Join(t.TempDir(), "shard.parquet")
	clitest.ScoredShard(t, shard)
	run := clitest.NewRun(t)
	filters := []string{"--min-score", "2", "--language", "en", "--max-chars", "250", "--dedupe"}
	flags := func(more ...string) []string {
		return m.Pretrain(run, append([]string{"--data", shard, "--device", "host"}, more...)...)
	}
	out := clitest.Succeed(t, "", flags(append(filters, "--steps", "64")...)...)
	for _, part := range []string{"by score", "by language", "long", "0 duplicates", "0 skipped", "2,048 tokens seen"} {
		if !strings.Contains(strings.ReplaceAll(out, "2048", "2,048"), part) {
			t.Errorf("no %q in %q", part, out)
		}
	}
	clitest.Fail(t, 1, []string{"--min-score 3", "begun with 2"}, flags("--steps", "64", "--resume", run, "--min-score",
		"3")...)
	clitest.Succeed(t, "", "pretrain", "--resume", run, "--device", "host")

	clitest.Refused(t, m, 1, []string{"filter", "maximum of 1 characters", "minimum of 2"}, "--min-chars", "2",
		"--max-chars",
		"1", "--device", "host")
	clitest.Refused(t, m, 1, []string{"fewer than one batch", "40 of 40 rows were left out"}, "--data", shard,
		"--min-score",
		"99", "--device", "host")
	t.Run("without the column", func(t *testing.T) {
		rows := datatest.Path(t, "parquet/fineweb_rows/gneissweb_test_01.parquet")
		clitest.Refused(t, m, 1, []string{`no column "score"`, "min-score 3", "language"}, "--data", rows,
			"--min-score", "3",
			"--device", "host")
	})
}
