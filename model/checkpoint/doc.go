// Package checkpoint keeps named tensors and JSON in a directory that appears
// whole or not at all.
//
// A run of days ends with a power cut, a full disk or kill -9 at the worst
// moment, and a model that loads but is wrong is worse than one that is gone.
// So everything is written into a hidden sibling, hashed while it streams,
// synced, listed with sizes and SHA-256 sums in checksums.json, and renamed at
// the very end; the pointer LATEST moves after that. Tensors are stored as
// safetensors, the format of Hugging Face, streamed in pieces so that a model
// larger than memory can pass through.
//
// What Go cannot enforce: a parent directory has one writer at a time (the
// caller holds the run's lock; Clean takes another writer's unfinished save
// for a leftover), LATEST is set only after Commit, and a directory is
// verified before it is believed.
//
// Begin reading at dir.go, then safetensors.go and writer.go.
package checkpoint
