// Package decode turns tokens into text: the decoders of a tokenizer.json, one file each or a small family.
//
// It exists so that they combine: each changes the list of tokens that those before it left, as in Hugging Face
// tokenizers, and in the end the list is joined.
package decode
