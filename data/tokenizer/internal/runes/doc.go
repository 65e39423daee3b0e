// Package runes says what a rune is to Hugging Face tokenizers: its category, script, lower case, and whether it is
// white space, a number, punctuation or an accent.
//
// It exists because ids depend on it, and because the parts of that library follow different versions of Unicode,
// while Go's own tables change with the toolchain. So the tables are the library's answers (testdata/make_tables.py).
package runes
