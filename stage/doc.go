// Package stage runs a training method: a recipe.Recipe says which stages a run has and which transitions lie between
// them, a trainer.Trainer carries out steps and transitions, and here is decided, step by step, whether to train on,
// save, evaluate or change the model, and what becomes of a run that is stopped, spikes or loses others.
//
// Every file is one idea of a Run: run.go is its loop, controller.go what comes next.
//
// What Go cannot enforce: a checkpoint is complete before it is the latest, and what is decided follows from what is
// done alone, so that a resumed run decides the same.
package stage
