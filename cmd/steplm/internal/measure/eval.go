// Package measure has the commands that tell something of a model or a run and train nothing: perplexity, scores of
// tokens, plans in bytes, curves of losses.
package measure

type EvalCmd struct {
	Ppl   evalPplCmd   `cmd:"" help:"Perplexity on Parquet shards, text or WikiText."`
	All   evalAllCmd   `cmd:"" help:"The whole evaluation of models: perplexity of a validation set and of WikiText, and downstream tasks."`
	Tasks evalTasksCmd `cmd:"" help:"Downstream tasks, as lm-evaluation-harness scores them."`
}
