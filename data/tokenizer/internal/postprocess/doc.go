// Package postprocess says which tokens stand around those of a text: the post-processors of a tokenizer.json.
//
// It exists because these tokens, the beginning of a sequence above all, belong to what a model was trained on.
package postprocess
