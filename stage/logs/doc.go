// Package logs keeps a run's curves where people look already: as TensorBoard's event files, Trackio's database,
// wandb's offline files and the trainer_state.json of transformers.
//
// All are made of the events that record.Read gives, so that metrics.jsonl stays what counts. A process writes them
// anew from it at its first step, at a resume, after a rollback and where it goes back with others, and goes on with
// each event as it comes: no step is in them twice, one that was taken back is in none, and a format that is asked for
// later has the whole run.
// A format is one file of this package and an entry in Formats.
//
// What Go cannot enforce: that a kill leaves files that the other programs read, which tests show by killing; and
// that what cannot be written, to a full disk say, is a warning and never the end of a run, for which Log has no
// errors to give.
package logs
