// Package outer is the outer optimizer of rounds: after H steps that a process made alone, the change of what trains is
// averaged over processes, and SGD with Nesterov momentum is done with it as a gradient (DiLoCo, arXiv 2311.08105; on
// one machine SNOO, arXiv 2510.15830). It exists so that trainer, plan and network know it by one State, and so that
// how a change travels is one file.
//
// What it keeps of a parameter that trains are planes of f32 in the process's memory, whatever the device: the anchor,
// which are the weights that the round began with, the momentum, and, where what travels is rounded, the residual. All
// of it is computed on the CPU in float32, one operation at a time, so that it has the same bits in every process.
//
// What Go cannot enforce: that all processes apply the same average to the same anchors, which is what State.Hash is
// for; and that an anchor is taken before the round's first update.
package outer
