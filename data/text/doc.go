// Package text reads files without a footer: JSON Lines, of which each line is a row, and
// text files, which are one row whole; either may be compressed as a whole by gzip or
// zstd. Such a file is read once to learn its layout, and its bytes' hash.
//
// What Go cannot enforce: that lines stay where they were between the two readings; that
// a file ended where it did is noticed, changed bytes within a row are not.
package text
