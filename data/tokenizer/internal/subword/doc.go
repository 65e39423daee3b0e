// Package subword turns words into ids: the models of a tokenizer.json, one file each.
//
// It exists so that any model goes with any normalizer and pre-tokenizer. Ids are those of Hugging Face tokenizers. A
// word is valid UTF-8, or, in a byte-level BPE, bytes of it.
package subword
