// Package view is how commands show what they found: tables that align, numbers as people read them,
// JSON, and progress that is a bar on a terminal and lines elsewhere. It knows nothing of training.
//
// What Go cannot enforce: that a progress is used by one goroutine and ended.
package view
