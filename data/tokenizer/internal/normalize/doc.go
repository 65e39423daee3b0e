// Package normalize changes text before it is cut: the normalizers of a tokenizer.json, one file each or a small
// family.
//
// It exists so that they combine: a Chain is any number of them in order. The normalization data is Unicode 9.0, as in
// Hugging Face tokenizers, whose results they give. Texts are valid UTF-8.
package normalize
