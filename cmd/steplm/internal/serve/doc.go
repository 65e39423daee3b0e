// Package serve answers OpenAI's HTTP interface for one model on one device: completions, conversations, the list of
// models, whole or as streams of server-sent events; and a page to talk to the model in a browser.
//
// It is a room of its own because it is about clients: what they may send, how long they may take, who they are, and
// how they are told what is wrong. How texts of many clients run beside each other is model/engine.
//
// Every answer that is an error is one JSON object as OpenAI has it, see apiError. What Go cannot enforce: a handler
// must answer by writeJSON, a stream or an apiError, and never put the key or a prompt into a log.
package serve
