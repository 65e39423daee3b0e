// Package mtbench is MT-Bench (Zheng et al. 2023, arXiv 2306.05685) as FastChat does it: its questions of two turns,
// the files of answers and judgments, what a judge is asked, and the tables of what it said.
//
// It exists so that FastChat reads what is written here and says the same of it, and the other way round. Where a model
// answers and where a judge is asked is not its concern: it is given functions that do.
//
// What FastChat does and this package does not: it counts a judgment again that a second run adds to its file; it ends
// where a rating is no Python literal, such as [[07]], which here is 7; and its tables wrap where the terminal is
// narrow and leave out rows beyond sixty.
//
// What Go cannot enforce: that an answer belongs to the model after which its file is called. FastChat goes by the
// file's name, and so does this package.
package mtbench
