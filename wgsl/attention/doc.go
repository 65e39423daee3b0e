// Package attention is causal attention with its two backward kernels: three
// templates, in which the head's size and the rows of an invocation must be literal
// numbers. A query's keys are walked with a running maximum, so that the scores never
// exist as a matrix. Which block of rows runs follows from the shape and from what
// the device was told to run for such calls (Class), else from a fallback.
//
// One kernel as it runs is testdata/attention_forward_8_f32_1_64_branch.wgsl: the forward
// kernel of heads of eight f32, one query per invocation, workgroups of 64, outputs
// rescaled in a branch. The file is written by the tests' -update and compared with
// what the template gives, and compiled; read it beside the template. Legend and
// rules of all kernels: package wgsl.
//
// With Shape.Documents attention stays inside documents: other kernels of the same
// templates, which walk the keys or queries of a document alone, so that they skip
// all else. Where documents begin and end are two rows of floats a sequence, see Bounds; the
// backward kernels have them behind delta, since with them they have eight bindings,
// and eight are all that there are. testdata/attention_backward_key_value_8_f32_2_32_documents.wgsl
// is one of them.
//
// What Go cannot enforce: that every block walks what it walks one by one, ascending,
// with explicit fma, so that all blocks give the same bits on a device (tests compare
// them); and that params stand in the templates in the order in which choice.go
// gives them.
package attention
