package main

import (
	"context"
	"fmt"
	"strings"

	"steplm/data"
	"steplm/data/hub"
)

type dataFetchCmd struct {
	Source     string `arg:"" help:"hf://datasets/OWNER/NAME[/PATH][@REVISION]: a folder of Parquet files or one."`
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
	source, err := hub.ParseSource(c.Source)
	if err != nil {
		return usageError{err}
	}
	if c.Shards < 0 {
		return usagef("--shards %d: at least 0", c.Shards)
	}
	if c.Parallel < 1 {
		return usagef("--parallel %d: at least 1", c.Parallel)
	}
	snapshot, err := fetch(ctx, source, c.Shards, c.Parallel, c.JSON)
	if err != nil {
		return err
	}
	if c.TextColumn != "" {
		for _, file := range snapshot.Files {
			if _, err := data.OpenColumn(file, c.TextColumn); err != nil {
				return err
			}
		}
	}
	if c.JSON {
		return printJSON(struct {
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

// fetch downloads what the cache lacks, with a bar.
func fetch(ctx context.Context, source hub.Source, shards, parallel int, json bool) (hub.Snapshot, error) {
	client, err := hub.FromEnvironment()
	if err != nil {
		return hub.Snapshot{}, err
	}
	var bar *progress
	const mega = 1_000_000
	snapshot, err := client.Fetch(ctx, source, hub.Options{Shards: shards, Parallel: parallel, Progress: func(done, total int64) {
		if bar == nil {
			bar = newProgress(progressOutput(json), "fetch", (total+mega-1)/mega, "MB")
		}
		bar.Set((done + mega - 1) / mega)
	}})
	if bar != nil {
		bar.Done()
	}
	return snapshot, err
}

// fetchParallel is how many files are downloaded at a time, unless the user says.
const fetchParallel = 4

// local replaces paths that are hf:// sources by the directories where their
// shards are in the cache, which are fetched first where they are not.
func local(ctx context.Context, json bool, paths ...*string) error {
	for _, p := range paths {
		if !strings.HasPrefix(*p, hub.Scheme) {
			continue
		}
		source, err := hub.ParseSource(*p)
		if err != nil {
			return usageError{err}
		}
		snapshot, err := fetch(ctx, source, 0, fetchParallel, json)
		if err != nil {
			return err
		}
		*p = snapshot.Dir
	}
	return nil
}
