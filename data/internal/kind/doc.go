// Package kind says what a file is, so that package data reads it as what it holds, and not
// as what it is called: a download may be a web page, a pointer, or compressed once more.
//
// A file's first bytes decide, and Parquet's last ones, which are all that there is of a
// file whose footer was fetched alone. The name only decides what bytes cannot tell: which
// plain text is one document, and which has a row a line.
//
// What Go cannot enforce: that a file stays what it was when it was looked at.
package kind
