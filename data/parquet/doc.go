// Package parquet reads Parquet files: one column of text and those that filters look at,
// a page at a time, rows with lists and groups as JSON (Objects), and what is in a file
// (Inspector). It is the only package that imports
// Arrow, of which it takes the footer's and the values' decoders: pages are read, checked
// and decompressed here, as Arrow's own page reader trusts what a file claims.
//
// What Go cannot enforce: that nothing of a damaged file reaches Arrow's decoders on
// which they would allocate without bound, loop or panic (guard turns what is left of
// panics into errors; tests damage files in thousands of ways).
package parquet
