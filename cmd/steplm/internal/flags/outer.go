package flags

// OuterFlags say what rounds of steps end with.
type OuterFlags struct {
	OuterEvery    int     `default:"0" placeholder:"H" range:"0..1e9" help:"Steps of a round, after which an outer step is made with the change of the weights: SNOO in one process, DiLoCo in several, which mpirun or srun started or --host gathers. 0: no rounds. Default: ${default}."`
	OuterLR       float64 `name:"outer-lr" default:"${outer_lr}" placeholder:"X" range:"0<..100" help:"Learning rate of the outer step. Default: ${default}."`
	OuterMomentum float64 `default:"${outer_momentum}" placeholder:"B" range:"0..1" help:"Its Nesterov momentum. Default: ${default}."`
	OuterStart    int     `default:"0" placeholder:"N" range:"0..1e9" help:"Step after which the first round begins; until then one process trains alone, and the others wait for what it comes to. Default: ${default}."`
	OuterWire     string  `placeholder:"TYPE" help:"How changes travel between machines: f32, bf16, int8 or int4; what rounding leaves out is added to the next. Default: f32."`
}
