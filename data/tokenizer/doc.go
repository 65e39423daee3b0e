// Package tokenizer turns text into token ids and back with byte-pair encoding (BPE), byte-level (GPT-2, Llama 3) or
// SentencePiece-style with byte fallback (Llama 2), and trains a byte-level tokenizer from text.
//
// It exists because a language model is only as comparable as its tokenizer is exact: one id off and a perplexity is
// a different number. Ids equal those of Hugging Face's tokenizers library for every file that Load accepts; a
// normalizer, pre-tokenizer, post-processor or model that is not implemented is an error that names it, never an
// approximation. Ids of a SentencePiece .model equal SentencePiece's, but a control piece written out in the text, such
// as </s>, is that piece, as in Hugging Face's conversions. Unigram models, normalization rules (nmt_nfkc) and
// user-defined symbols are refused.
//
// What Go cannot enforce here: a string need not be valid UTF-8. Encode reads an invalid sequence as U+FFFD, one for
// each maximal subpart, as Python's errors="replace" does; Decode writes U+FFFD in the same way where ids end in the
// middle of a character. For valid UTF-8, Decode(Encode(text)) == text, unless the file asks for
// normalization (NFC, NFKC) or for a space before the first word that its decoder leaves.
// SentencePiece-style tokenizers turn U+2581 into a space, and may put a space after an added token.
//
// The classes of runes (Unicode 16.0) and the normalization data (Unicode 9.0) are tables of this package, because the
// reference library has them fixed, while those of Go's unicode package change with the toolchain.
package tokenizer
