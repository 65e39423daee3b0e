// Package rounds brings the processes of a run's rounds together over TCP: a coordinator, which trains too, and workers
// that join and leave. It exists so that laptops can train one model: between rounds nothing is sent.
//
// A connection is Noise's NNpsk0 (github.com/flynn/noise; X25519, ChaCha20-Poly1305, SHA-256): who does not have the
// key is refused by its first message, and a recorded connection cannot be played again, as both sides draw new keys.
// Every message has a type and a length, which is checked against what the run can need before memory is taken for it.
//
// The coordinator sends a worker: welcome, the state, then of every round begin, close, average; a worker sends hello,
// ready, and of every round progress and its change. A round closes when a share of the processes, the quorum, has done
// its steps; the others then send what they have, weighed by its tokens. What comes after the deadline is left out.
//
// A worker's connection that breaks is made anew (line.go), and its round goes on where the hash of what it began with
// is that of the coordinator's round. Processes that a launcher started make rounds as Among, without a coordinator.
//
// What Go cannot enforce: nothing listens without a key; whoever has it is trusted to send honest changes, though not
// ones of another size or that are no numbers; and which processes a round is of depends on clocks and networks, so
// that a run of several repeats bit for bit only with a quorum of 1 and the same processes.
package rounds
