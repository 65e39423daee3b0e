// Package harness scores a model on downstream tasks as lm-evaluation-harness 0.4.13 does: its prompts, its tokens, its
// few-shot draws, its metrics and standard errors, its files of results. A task is one file, task_<name>.go, and one
// entry of the list in task.go.
//
// Prepare makes requests of a task's documents, Evaluate has them answered and judged. Whoever answers is a Scorer:
// model/likelihood has one, and a test may have a table. A Journal keeps answers, so that an evaluation that was killed
// goes on.
//
// What Go cannot enforce: that a rule is the harness's. Tests compare with what the harness itself gave; a rule that
// looks odd has a comment, and stays as it is.
package harness
