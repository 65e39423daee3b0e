// Package tokens has the commands on the way from text to ids: data that are fetched, looked into or tokenized, and
// tokenizers that are trained or used.
package tokens

// DataCmd is what is done with training data besides training on it.
type DataCmd struct {
	Fetch    dataFetchCmd    `cmd:"" help:"Download a dataset's Parquet files from the Hugging Face hub."`
	Inspect  dataInspectCmd  `cmd:"" help:"Say what is in data: columns, lengths, scores, languages, first texts."`
	Tokenize dataTokenizeCmd `cmd:"" help:"Tokenize data once, into a cache that pretrain uses."`
}
