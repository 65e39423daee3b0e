// Package experiment is a comparison as data: which runs it consists of, what each is called, which of them choose a
// learning rate for others, and the table of what became of them. Nothing here runs anything: a command does, one run
// at a time, and asks what is to be done next.
//
// A run is called by its content: a readable beginning and a hash of the options in which its Spec is not the default,
// without those that a run may go on with otherwise, such as where its data lie. So an experiment that was stopped, or
// whose file gained a variant, finds what it has.
//
// Variants may begin with the models of another experiment, which is read and never written; and every model may be
// asked tasks and questions when it is trained, which a run is not over without.
//
// What Go cannot enforce: that the name of a run stays what it is in every later version, which a golden file shows;
// and that what is chosen follows from runs that ended alone, so that no kill changes it.
package experiment
