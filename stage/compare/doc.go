// Package compare says how far runs differ beyond what their seeds do: means and spreads over seeds, and differences
// between two methods' runs of the same seeds, with intervals. It knows numbers alone.
//
// What Go cannot enforce: that seeds are paired only where all else is equal, which whoever makes the groups sees to.
package compare
