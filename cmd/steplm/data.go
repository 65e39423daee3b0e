package main

// dataCmd is what is done with training data besides training on it.
type dataCmd struct {
	Inspect dataInspectCmd `cmd:"" help:"Say what is in Parquet files: columns, lengths, scores, languages, first texts."`
}
