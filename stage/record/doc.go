// Package record is what a run wrote down: its steps and events in metrics.jsonl, one line each,
// written and read back by the same code, so that a report needs no rerun.
//
// Every kind of line has a type, in events.go: a kind is added there, and both the writer and the
// reader know it. Other programs read the lines too: a field keeps its name once it is written.
//
// What Go cannot enforce: that a type's JSON decodes into itself, which a test shows with one value
// of each, and that a run goes on where its last line of a step or transition ends.
package record

// File is the name of the metrics in a run's folder.
const File = "metrics.jsonl"
