package optim

// Constant stays at its peak, and never decays to MinRatio.
const Constant = "constant"

var constantCourse = kind{Constant, 0.1, plain, func(Course, int, int) float64 { return 1 }}
