// Package stories has the tests of whole runs in a folder: begun, stopped, killed at any moment, resumed, refused, made
// longer.
//
// It sees a run as its user does, by its folder and its metrics. What Go cannot enforce: a story tells the same bytes
// however often it was interrupted.
package stories
