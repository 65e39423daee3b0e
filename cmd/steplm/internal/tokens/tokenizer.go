package tokens

type TokenizerCmd struct {
	Train  TokenizerTrainCmd  `cmd:"" help:"Train a byte-level BPE tokenizer."`
	Encode tokenizerEncodeCmd `cmd:"" help:"Turn JSON strings into JSON arrays of ids, line by line."`
	Decode tokenizerDecodeCmd `cmd:"" help:"Turn JSON arrays of ids into JSON strings, line by line."`
}
