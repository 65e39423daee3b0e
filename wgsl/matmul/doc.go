// Package matmul is the products: a family of kernels out of one template,
// matmul.wgsl.tmpl, in which tile sizes must be literal numbers. Which of them computes a product
// follows from its transposes, types and shape, and from the tile that the device
// was told to run for such products (Class), else from a fallback.
//
// One kernel of the family as it runs is testdata/matmul_nt_4x4_8x8_by4_f32_f32_f32.wgsl:
// out = a b^T, each invocation a tile of 4 x 4 outputs in registers, workgroups of
// 8 x 8 invocations, four k at a time, all in f32, any shape. The file is written
// by the tests' -update and compared with what the template gives, and compiled; read
// it beside the template. Legend and rules of all kernels: package wgsl.
//
// What Go cannot enforce: that every tile keeps one accumulator per output, k
// ascending, with explicit fma, so that all tiles give the same bits on a device (tests
// compare them); and that params and bindings stand in the template as variant.go
// numbers them.
package matmul
