// Package likelihood tells how likely continuations of texts are to a model: many at once, each prefix that several of
// them share read once.
//
// A Scorer keeps the keys and values of what it reads in a cache, so that the choices of one question cost the question
// once and then their own tokens. Requests of similar length run side by side. What the answer to a request is depends
// on the request alone, not on what runs beside it or before, see model.Model.Run.
//
// What Go cannot enforce: a Scorer belongs to one goroutine. Answers are heard in it too, within Score.
package likelihood
