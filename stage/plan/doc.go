// Package plan says what a recipe's stages take in memory, and what would make them fit, with no
// device. Its bytes are those of the specs that are allocated later: there is no other formula, so that
// what cannot be allocated is not planned.
//
// What Go cannot enforce: that a plan equals the ledger of a device, which tests of package stage
// compare, byte for byte.
package plan
