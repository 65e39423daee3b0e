// Package recipe says what a training run is, as pure data: a user's Options, the methods that make
// a Recipe of them (one file each, method_<name>.go), the stages, the verbs between them, growth and
// its operators (grow_<name>.go), and the partition of layers over stages. It knows no device.
//
// A Recipe is all that decides a run's numbers, but for the data and the device: its hash is in every
// checkpoint. A method is added by one file and one entry of Methods; what it does to a model is
// spelled in verbs, which package stage executes.
//
// What Go cannot enforce: that a Recipe is never changed once its run has begun, and that a verb that
// is added here is executed there (a test of stage runs each).
package recipe
