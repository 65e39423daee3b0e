package flags

// ModelFlags say which model: a preset or a config.json, with any dimension
// replaced, or all dimensions one by one.
type ModelFlags struct {
	Model     string `placeholder:"PRESET|FILE" help:"Preset (tiny, 15m, 60m, 130m, 368m, 680m, 1.2b) or config.json as Hugging Face has it."`
	Init      string `placeholder:"MODEL" help:"Begin with this model's weights instead of random ones: a run's folder, RUN@step-N, RUN@stable-N, a checkpoint or a Hugging Face directory. Its shape is the run's, but for --layers, where the method grows, and a larger --vocab, whose new rows are the mean of the old ones. The optimizer begins without state."`
	Hidden    *int   `placeholder:"N" range:"1..1e6" help:"Hidden size."`
	FFN       *int   `name:"ffn" placeholder:"N" range:"1..1e7" help:"Inner size of the feed-forward."`
	Layers    *int   `placeholder:"N" range:"1..1e5" help:"Layers of the whole model."`
	Heads     *int   `placeholder:"N" range:"1..1e5" help:"Attention heads."`
	KVHeads   *int   `name:"kv-heads" placeholder:"N" range:"1..1e5" help:"Key-value heads. Default: the model's, or as many as heads."`
	Vocab     *int   `placeholder:"N" range:"1..1e8" help:"Vocabulary size."`
	Tied      *bool  `negatable:"" help:"Use the embedding as the head too."`
	MaxSeqLen *int   `name:"max-seq-len" placeholder:"N" range:"1..1e8" help:"Most positions that the model may be given. Default: the model's, or 2048."`
	SeqLen    *int   `name:"seq-len" placeholder:"N" range:"1..1e8" help:"Positions per window. Default: 256, or the model's maximum if that is less."`
	Mask      string `default:"${mask}" enum:"none,documents" help:"Where attention ends, besides at its own position: nowhere, so that it crosses the documents of a window (none), or at the beginning of a position's document (documents). Default: ${default}."`
	Positions string `default:"${positions}" enum:"continue,restart" help:"From where positions count: the window's first token (continue) or each document's (restart). Default: ${default}."`
}
