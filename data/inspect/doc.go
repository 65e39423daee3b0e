// Package inspect adds up what is in data files, whatever their kind, before a run reads
// them: sizes, columns, how long texts are, scores, languages, and what is missing or damaged.
// The readers of formats tell an Inspector what they find.
//
// What Go cannot enforce: that a reader tells of each row once.
package inspect
