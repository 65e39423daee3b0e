// Package pattern finds what the regular expressions and strings of a tokenizer.json match.
//
// It exists because those expressions are Oniguruma's (Ruby's syntax), with lookahead and possessive forms that Go's
// regexp lacks, and because what \p{L} and \s are must be what they are to Hugging Face tokenizers: Unicode 16.0
// (package runes). An expression is read into sets of runes and what stands between them, and compiled for regexp2
// over an alphabet with one symbol for all runes that the expression cannot tell apart. So regexp2 knows nothing of
// Unicode, and its sets stay small. What is not understood is refused by name. The expressions of well-known
// tokenizers have scanners written by hand, which are many times faster (scanner.go).
//
// An expression that backtracks without end is stopped after TimeLimit: an error, as in the reference, which counts
// its steps.
package pattern
