// Package pretokenize cuts text into the words that are turned into ids one by one: the pre-tokenizers of a
// tokenizer.json, one file each or a small family.
//
// It exists so that they combine: each cuts every piece that those before it left, as in Hugging Face tokenizers. Most
// chains only cut, by rules that look ahead from one place; these run without making a piece of text (Chain.Each).
package pretokenize
