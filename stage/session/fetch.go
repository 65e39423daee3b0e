package session

import (
	"context"
	"strings"

	"steplm/data/hub"
)

// FetchParallel is how many files are downloaded at a time, unless a user says.
const FetchParallel = 4

// ParseSource reads the name of a source on the hub.
func ParseSource(path string) (hub.Source, error) {
	source, err := hub.ParseSource(path)
	if err != nil {
		return source, &OptionError{Why: err.Error()}
	}
	return source, nil
}

// Fetch downloads what the cache lacks of a source: the first so many shards, 0: all.
func Fetch(ctx context.Context, source hub.Source, shards, parallel int, ui UI) (hub.Snapshot, error) {
	client, err := hub.FromEnvironment()
	if err != nil {
		return hub.Snapshot{}, err
	}
	var bar Progress
	const mega = 1_000_000
	o := hub.Options{Shards: shards, Parallel: parallel, Progress: func(done, total int64) {
		if bar == nil {
			bar = ui.Progress("fetch", (total+mega-1)/mega, "MB")
		}
		bar.Set((done + mega - 1) / mega)
	}}
	snapshot, err := client.Fetch(ctx, source, o)
	if bar != nil {
		bar.Done()
	}
	return snapshot, err
}

// Local is a path, or of a source on the hub the directory where its shards are in the cache, which are
// fetched first where they are not.
func Local(ctx context.Context, path string, ui UI) (string, error) {
	if !strings.HasPrefix(path, hub.Scheme) {
		return path, nil
	}
	source, err := ParseSource(path)
	if err != nil {
		return "", err
	}
	snapshot, err := Fetch(ctx, source, 0, FetchParallel, ui)
	return snapshot.Dir, err
}
