// Package stage runs a training method as data: a Recipe says which stages a
// run has and which transitions lie between them, the controller decides step
// by step whether to train on, save, evaluate or change the model, and one
// executor carries the transitions out.
//
// Transitions are spelled in one vocabulary of verbs: grow, freeze, wrap,
// merge, reset, rewarm. Vanilla training uses none; STEP uses them at 75 %
// of a stage. If a method needs an if in the trainer, a verb is missing.
//
// A step is three calls, Backward, Reduce and Update, see step.go: between the first two the
// processes of a run would meet.
//
// What Go cannot enforce: a Recipe is never changed once its run has begun (its
// hash is in every checkpoint), and memory is freed before it is taken in a
// transition (a test compares the ledger's peak with the plans).
package stage
