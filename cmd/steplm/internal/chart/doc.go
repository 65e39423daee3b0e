// Package chart draws bars of bytes and curves, as text for a terminal and as SVG. It knows nothing of
// what they show; what cannot be drawn is an error that names the bar or the point.
package chart
