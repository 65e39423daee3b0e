// Package wgsltest is what the tests of kernels share: tolerances, tensors that a
// kernel must overwrite, comparisons that print the worst element, and what holds for every
// kernel: a source as it is declared, no reserved word, a text that the binding
// compiles.
//
// What Go cannot enforce: that a test checks what it must not change, too (Unchanged,
// ZeroPadding).
package wgsltest
