package wgsl

// columnSlices is what kernels have that sum columns: column_slices.wgsl, and the bytes of workgroup memory that it
// takes.
var columnSlices = library.Text("column_slices") + "\n"

const slicesBytes = 128 * 16
