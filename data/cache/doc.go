// Package cache keeps what tokenizing gives, row by row, in a directory: a run that
// finds it reads ids instead of text. It knows of shards their layouts and an identity,
// and of a tokenizer its hash; package data has both.
//
// What Go cannot enforce: that a source gives the rows of the layouts, each once and in
// order (a row group with another number of rows is an error), and that the files of a
// cache are not changed while it is read (checksums are compared once).
package cache
