// Package kernel is what the packages of kernels share: a library of one package's
// .wgsl files and templates, the storage types that a kernel's text is put together
// with, checks and slices of tensors, and the trial of a class. A kernel needs all of
// them, and a program that calls kernels none: hence it is internal to wgsl.
//
// What Go cannot enforce: that a library's kernels are all declared while the program
// starts, and that a class's word names all that its choice depends on.
package kernel
