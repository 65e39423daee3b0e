// Package trainer holds what trains in one stage of a recipe and runs its steps, takes it into the next stage, and
// writes it to a checkpoint and reads it back. When any of that happens is decided above it, by stage.
//
// A step is three calls, Backward, Reduce and Update, see step.go: between the first two the processes of a run would
// meet. If a method needs an if here, a verb is missing.
//
// What Go cannot enforce: memory is freed before it is taken in a transition (a test compares the ledger's peak with
// the plans), and a transition that has failed leaves a trainer that only Free is for.
package trainer
