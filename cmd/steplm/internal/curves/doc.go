// Package curves is what runs look like over time: one way from a run's folder to the series that `plot` draws as an
// image and `report` on a page, over steps, tokens, operations or time, as they are or smoothed.
//
// What Go cannot enforce: that whoever shows a curve takes it from here, so that two charts of a run agree.
package curves
