// Package session turns what a user asks for, a Spec, into a finished run: data, device, recipe,
// folder, trainer, evaluation sets and export. pretrain, demo and bench fill Specs from flags or by
// themselves; a run keeps its own, so that it can be taken up by its folder alone.
//
// What Go cannot enforce, and this package therefore does when a Spec is read: that every field of
// the JSON is one of a Spec's; that what a run was begun with is what it goes on with. It spells no
// flags: errors name options, and commands word them.
package session
