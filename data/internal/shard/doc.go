// Package shard is what package data and its readers of formats and caches tell each other:
// what is asked of a file, its layout in row groups, its rows and why some of them are no
// documents, and whose fault an error is.
//
// What Go cannot enforce: that a File yields as many rows of a row group as the layout
// says, in order; package data compares the numbers.
package shard
