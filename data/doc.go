// Package data turns text into token batches: Parquet shards in FineWeb-Edu's
// layout (or any file with a text column) are streamed as documents, tokenized
// in the background, packed into windows, shuffled block by block and handed
// out with a cursor that says exactly where the run stands. It is the only
// package that imports Arrow.
//
// # Packing
//
// Each document's ids are followed by one end-of-text id; the documents, in
// file and row order, form one stream. A window is T inputs and T targets cut
// from it with stride T: a window's last target is the next window's first
// input, so that every id is an input once and a target once. Attention crosses
// documents inside a window; nothing masks it.
//
// # Epochs
//
// The stream does not end: the ids left over when an epoch ends (fewer than
// one window) are put before the first ids of the next, so that nothing is
// lost at that seam either.
//
// # Shuffling
//
// A block is up to BlockWindows consecutive windows; it is cut short where an
// epoch ends, so that no window of an epoch is seen twice before another is
// seen once. The windows of a block are handed out in an order that is a pure
// function of (seed, epoch, block). There is no shuffling across blocks:
// documents that lie far apart stay far apart, and resuming re-reads one block
// at most.
//
// # Damage
//
// Every size that a file claims is compared with what is there before memory is
// taken for it, and pages are checked before Arrow's decoders see them. A row of
// the footer is delivered, null, filtered or skipped, or its reading is an
// error; SkipBad turns that error into whole row groups skipped.
//
// # Filters
//
// Which rows are documents is a function of the shards and the Filter alone, so
// that a cursor stays a position. Only duplicates depend on what came before:
// with Dedupe a reading that starts within an epoch reads its beginning too,
// without tokenizing it.
//
// # What Go cannot enforce
//
// A Batch's Inputs and Targets have the same length; a Loader has one caller
// at a time; the files do not change while they are read (a changed size or
// row count is noticed, changed bytes are not, unless the codec or the page has
// a checksum).
package data
