// Package optim turns gradients into updates: optimizers, and the learning-rate
// schedules that drive them.
//
// It exists so that the training step neither knows which optimizer runs nor
// where its state lives: Optimizer is all that others see, and a Rule, one file
// each, is all that a new one needs. What Go cannot enforce: state is keyed by parameter,
// never by position, because growth moves layers; a parameter without a gradient
// is frozen and has no state; and nothing here reads a clock or a random
// source, so that a resumed run repeats the straight one bit for bit.
package optim
