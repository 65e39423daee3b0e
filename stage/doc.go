// Package stage runs a training method: a recipe.Recipe says which stages a run has and which
// transitions lie between them, the controller decides step by step whether to train on, save, evaluate
// or change the model, and one executor carries the transitions out. If a method needs an if in the
// trainer, a verb is missing.
//
// A step is three calls, Backward, Reduce and Update, see step.go: between the first two the
// processes of a run would meet.
//
// What Go cannot enforce: memory is freed before it is taken in a transition (a test compares the
// ledger's peak with the plans), and a checkpoint is complete before it is the latest.
package stage
