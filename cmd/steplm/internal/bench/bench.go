// Package bench has the commands that measure a device: products, attention, training steps, generating, and the whole
// set of docs/benchmarks.md. What is compared takes turns, so that a machine that slows down does so for all of it.
package bench

type Cmd struct {
	Matmul    benchMatmulCmd    `cmd:"" help:"One product of matrices, in the device's variant or all."`
	Attention benchAttentionCmd `cmd:"" help:"Attention, forward and backward."`
	Step      benchStepCmd      `cmd:"" help:"Training steps of every stage, on random tokens; of STEP with vanilla beside it."`
	Generate  benchGenerateCmd  `cmd:"" help:"Generating: reading a prompt, and adding tokens to texts."`
	Tuning    benchTuningCmd    `cmd:"" help:"Steps on examples of instructions, packed and padded in turns."`
	Methods   benchMethodsCmd   `cmd:"" help:"Steps of every method and of every optimizer in turns, over vanilla's."`
	Reduce    benchReduceCmd    `cmd:"" help:"Sums over the processes that mpirun or srun started: bandwidth and what a message costs."`
	All       benchAllCmd       `cmd:"" help:"The whole set of docs/benchmarks.md, and its ratios."`
}
