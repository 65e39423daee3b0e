package flags

// OptimizerFlags say which optimizer, and what decides how much it keeps.
type OptimizerFlags struct {
	Optimizer       string `default:"${optimizer}" enum:"${optimizers}" help:"Optimizer: ${enum}. Linears get its rule; the run prints what embedding, head and norms get. Default: ${default}."`
	ProjectionRank  *int   `placeholder:"R" help:"Rank in which galore, fira, apollo and apollo-mini see gradients. Default: a quarter of the hidden size; apollo-mini: 1."`
	ProjectionEvery *int   `placeholder:"T" help:"Updates of a weight after which its projection is another. Default: 200."`
}
