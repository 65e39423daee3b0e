package tokens

import (
	"context"
	"fmt"
	"slices"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/data"
	"steplm/stage/session"
)

type dataFetchCmd struct {
	Source     string `arg:"" help:"hf://datasets/OWNER/NAME[/PATH][@REVISION]: a folder of Parquet files, or where there are none of JSON, or one such file."`
	Shards     int    `help:"Only the first so many files by name; 0: all."`
	Parallel   int    `default:"${parallel}" help:"Files downloaded at a time."`
	TextColumn string `placeholder:"NAME" help:"Make sure that the files have this column of text. Default: they may hold anything."`
	JSON       bool   `help:"Print JSON."`
}

// Help names what is read from the environment.
func (c *dataFetchCmd) Help() string {
	return "What the cache of Hugging Face's tools holds is reused, what was begun is gone on with. " +
		"Prints the directory to give to --data. " +
		"HF_TOKEN, HF_HOME, HF_HUB_CACHE and HF_ENDPOINT are used as those tools do."
}

func (c *dataFetchCmd) Run(ctx context.Context) error {
	source, err := session.ParseSource(c.Source)
	if err != nil {
		return flags.AsUsage(err)
	}
	if c.Shards < 0 {
		return flags.Usagef("--shards %d: at least 0", c.Shards)
	}
	if c.Parallel < 1 {
		return flags.Usagef("--parallel %d: at least 1", c.Parallel)
	}
	snapshot, err := session.Fetch(ctx, source, c.Shards, c.Parallel, flags.SessionUI(c.JSON))
	if err != nil {
		return err
	}
	if c.TextColumn != "" {
		o := data.OpenOptions{Column: c.TextColumn}
		if _, err := data.OpenFiles(source.String(), snapshot.Files, o); err != nil {
			return err
		}
	}
	if found, err := data.Find(snapshot.Dir); err != nil || !slices.Equal(found, snapshot.Files) {
		flags.SessionUI(c.JSON).Warn(fmt.Sprintf("%s is not read as these %d files, since its folder has others or "+
			"some of other kinds: give %s itself to --data", snapshot.Dir, len(snapshot.Files), source))
	}
	if c.JSON {
		return view.JSON(struct {
			Source string   `json:"source"`
			Commit string   `json:"commit"`
			Dir    string   `json:"dir"`
			Files  []string `json:"files"`
			Bytes  int64    `json:"bytes"`
			Reused int      `json:"reused_files"`
		}{source.String(), snapshot.Commit, snapshot.Dir, snapshot.Files, snapshot.Bytes, snapshot.Reused})
	}
	fmt.Println(snapshot.Dir)
	return nil
}
