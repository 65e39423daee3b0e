package flags

// OptimizerFlags say which optimizer, and what decides how much it keeps.
type OptimizerFlags struct {
	Optimizer       *string `enum:"${optimizers}" placeholder:"NAME" help:"Optimizer: ${enum}. Linears get its rule; the run prints what embedding, head and norms get. Default: adamw; with --method galore, which takes no other, galore."`
	ProjectionRank  *int    `placeholder:"R" help:"Rank in which galore, fira, apollo and apollo-mini see gradients. Default: a quarter of the hidden size, of apollo 256 from 1B on; apollo-mini: 1."`
	AdapterRule     *string `enum:"adamw,scale" placeholder:"RULE" help:"What updates scale's adapters: adamw, or scale, which keeps no moments of them. Default: adamw."`
	ProjectionEvery *int    `placeholder:"T" help:"Updates of a weight after which its projection is another. Default: 200."`
}
