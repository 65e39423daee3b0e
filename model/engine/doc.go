// Package engine lets many goroutines have one Generator continue their texts: it keeps the Generator in one goroutine,
// takes requests from the others through a queue, in order, and has each begin as soon as there is a slot and room in
// the cache, beside those that run (continuous batching; Yu et al. 2022, "Orca").
//
// It exists apart from the server because it knows nothing of HTTP: what is wrong here is tested without a socket.
//
// What Go cannot enforce: Request.Heard is called in the Engine's goroutine, and so must neither block nor call the
// Engine; it may still be called for a moment after a job's context has ended.
package engine
