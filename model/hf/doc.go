// Package hf is LLaMA in Hugging Face's files: config.json and generation_config.json read and written,
// safetensors checked against what the configuration requires, and a directory of them loaded onto a device.
// It exists so that package model knows no file format but its checkpoints': what another family's files say
// differently is said here, and what it computes differently there.
//
// What Go cannot enforce: that what this program would compute differently is refused, in configFields.supported,
// rather than left unread; and that a field that one release of transformers reads is written beside what another
// reads, see WriteConfig.
package hf
