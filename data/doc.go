// Package data turns text into token batches: Parquet shards in FineWeb-Edu's
// layout (or any file with a text column), JSON Lines or text files are streamed
// as documents, tokenized in the background, packed into windows, shuffled block by
// block and handed out with a cursor that says exactly where the run stands. What a file
// is, its content says (data/internal/kind); how files of a format are read is
// data/parquet's and data/text's; data/cache keeps ids that were made before, and no id of
// it is beyond the vocabulary.
//
// # Order
//
// A row group is what is read by itself: Parquet's, a thousand lines of JSON Lines,
// a whole file of a kind that can only be read from its beginning. An epoch reads
// the shards in a permuted order and the row groups of each in another; both are
// pure functions of (seed, epoch). So is the order of the windows in a block, of
// (seed, epoch, block). Nothing of it is stored: a cursor is a position, and resuming
// re-reads one block at most.
//
// # Packing
//
// Each document's ids are followed by one end-of-text id; the documents, in the
// epoch's order, form one stream. A window is T inputs and T targets cut from it
// with stride T: a window's last target is the next window's first input, so that
// every id is an input once and a target once.
//
// A document is its ids and the end-of-text id behind them. A Batch says where the
// documents of its windows begin: by rows, not by ids, since a text may hold an
// end-of-text id. Whether attention crosses documents is the model's (model.Size). A
// document's last target is the first id of the next one, and counts.
//
// A block is up to BlockWindows consecutive windows; it is cut short where an
// epoch ends, so that no window of an epoch is seen twice before another is
// seen once. The stream does not end: the ids left over when an epoch ends (fewer
// than one window) are put before the first ids of the next, so that nothing is
// lost at that seam either.
//
// # Several processes, several sources
//
// Processes deal the batches of one sequence among them: each takes its own and skips
// the others', so that together they see what one process sees, and have the same
// cursor, however many they are. A mixture takes each window from the source that is furthest behind its
// weight; each source has its own order, epochs and place in the cursor.
//
// # Token caches
//
// A cache.Cache holds what tokenizing gives, row by row, the rows that are no documents
// included. Batches, cursors and counts are the same with one and without.
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
// that a cursor stays a position. Duplicates are those of the file order, whatever
// the epoch's: with Dedupe all text is read once before the first reading, and a
// bit for each row is kept.
//
// # What Go cannot enforce
//
// A Batch's Inputs and Targets have the same length; a Loader has one caller
// at a time; the files do not change while they are read (a changed size or
// row count is noticed, changed bytes are not, unless the codec or the page has
// a checksum).
package data
