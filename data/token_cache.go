package data

import (
	"context"
	"errors"
	"io/fs"

	"steplm/data/cache"
	"steplm/data/internal/shard"
)

// CacheDir is the directory below root for the ids of shards.
func CacheDir(root string, s *Shards, t Tokenizer) string {
	return cache.Dir(root, s.Identity(), hashOf(t))
}

// FindCache opens the cache below root of shards, their filters and a tokenizer.
// It is nil if there is none that is complete.
func FindCache(root string, s *Shards, t Tokenizer) (*cache.Cache, error) {
	c, err := cache.Open(CacheDir(root, s, t))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return c, matches(c, s, t)
}

// matches says why a cache is not that of shards and a tokenizer.
func matches(c *cache.Cache, s *Shards, t Tokenizer) error {
	eot, err := Separator(t)
	if err != nil {
		return err
	}
	return c.Matches(keyOf(s, t, eot), s.shards)
}

// keyOf is what a cache of shards and a tokenizer is of.
func keyOf(s *Shards, t Tokenizer, eot uint32) cache.Key {
	return cache.Key{Data: s.Identity(), Tokenizer: hashOf(t), Vocab: t.VocabSize(), EndOfText: eot}
}

// Tokenize writes the cache of shards into dir. Parts that an interrupted call
// left there are kept if their checksums are right; those of a complete cache
// too, so that damaged ones are made again. Every part, and at last the index,
// appears whole or not at all.
func Tokenize(ctx context.Context, s *Shards, t Tokenizer, dir string, o cache.Options) (cache.Written, error) {
	enc, err := newEncoder(t)
	if err != nil {
		return cache.Written{}, err
	}
	if hashOf(t) == "" {
		return cache.Written{},
			errors.New("a tokenizer without a hash cannot have a cache: nothing would tell it from another")
	}
	text := cache.Text{Files: s.Files, Layouts: s.shards,
		Source: func(workers int) shard.TokenSource { return textTokens{s, enc, workers} }}
	return cache.Write(ctx, dir, keyOf(s, t, enc.eot), text, o)
}
