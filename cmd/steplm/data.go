package main

// dataCmd is what is done with training data besides training on it.
type dataCmd struct {
	Fetch    dataFetchCmd    `cmd:"" help:"Download a dataset's Parquet files from the Hugging Face hub."`
	Inspect  dataInspectCmd  `cmd:"" help:"Say what is in Parquet files: columns, lengths, scores, languages, first texts."`
	Tokenize dataTokenizeCmd `cmd:"" help:"Tokenize data once, into a cache that pretrain uses."`
}
