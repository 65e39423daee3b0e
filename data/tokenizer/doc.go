// Package tokenizer turns text into token ids and back, as a tokenizer.json of Hugging Face's says or a SentencePiece
// .model, and trains a byte-level BPE from text.
//
// It exists because a language model is only as comparable as its tokenizer is exact: one id off and a perplexity is
// a different number. Ids equal those of Hugging Face's tokenizers library for every file that Load accepts. A file is
// composed of parts, each of which is a file of an internal package: normalize changes text, pretokenize cuts it into
// words, subword turns words into ids, postprocess puts tokens around them, decode goes back; here are the added tokens
// that are found before all that. A part, or a setting, or a piece of a regular expression that is not implemented is
// an error that names it, never an approximation. How a library cuts and pads batches (truncation, padding) is ignored.
//
// Ids of a SentencePiece .model equal SentencePiece's, but a control piece written out in the text, such as </s>, is
// that piece, as in Hugging Face's conversions, and so is a byte piece in a Unigram model, whose scores are summed in
// 64 bits as there. Normalization rules (nmt_nfkc) and user-defined symbols are refused.
//
// What Go cannot enforce here: a string need not be valid UTF-8. Encode reads an invalid sequence as U+FFFD, one for
// each maximal subpart, as Python's errors="replace" does; Decode writes U+FFFD in the same way where ids end in the
// middle of a character. For valid UTF-8 and a vocabulary with all bytes, Decode(Encode(text)) == text, unless the file
// asks for normalization or for a space before the first word that its decoder leaves. SentencePiece-style tokenizers
// turn U+2581 into a space, and may put a space after an added token.
package tokenizer
