// Package modeltest is what tests of models share: batches, models whose every value is random, steps of
// them, and comparisons that say how much of their allowance they used. It exists besides package model so
// that the packages above can test with it, and so that its own tests can hold LLaMA whole, loaded as users
// load it, against other implementations: logits, losses and gradients by name, in every layout and storage.
//
// What Go cannot enforce: that no program imports it; that what is compared here was made elsewhere, since a
// golden number which this program wrote shows nothing; and that HFNames may go by order, as Config.HFTensors
// and Model.Params list alike.
package modeltest
