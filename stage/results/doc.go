// Package results turns run folders into rows of a table, one a run, and writes and reads them as CSV, so that an
// experiment and a report of it say the same of a run, and other programs can read it: the columns are frozen.
//
// What Go cannot enforce: that a row is made of the folder alone and never fails. A run that is missing, unfinished,
// diverged, damaged or of another version is a row too, whose status says so; and what a kill and a resume may change,
// which is how fast a run was, stands in one column that can be left out, while every other one comes out the same.
package results
