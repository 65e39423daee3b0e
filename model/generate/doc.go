// Package generate has a model continue texts: many sequences at once, each with a cache of the keys and values of what
// it has read, so that a step reads one token of each and not its whole text.
//
// A Generator takes sequences in and out between steps (Add, Cancel), so that one which comes later need not wait for
// those that are there: continuous batching. It knows token ids; Text makes text of them, piece by piece.
//
// What a sequence becomes depends on its Request alone, not on what runs beside it: rows of prompts and rows of
// generated tokens go through kernels that give a row the same bits whatever the others are, and each sequence draws
// with a seed of its own.
//
// What Go cannot enforce: a Generator belongs to one goroutine. A server keeps it in one, which takes requests from a
// queue, and has Add, Cancel and Step called there. Callbacks run in it too, within Step.
package generate
