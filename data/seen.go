package data

import (
	"crypto/sha256"
	"encoding/binary"
)

const (
	// seenSets times seenWays texts are remembered, in 16 bytes each: 8.4 million
	// in 128 MiB.
	seenSets = 1 << 20
	seenWays = 8
)

// seen remembers texts by half of their SHA-256, in bounded memory: where more
// texts than seenWays fall into a set, the oldest of it is forgotten. Different
// texts are never taken for the same; two equal ones are not recognised if
// about as many others came between as are remembered. What it answers is the
// same on every machine.
type seen struct {
	sets [][seenWays][2]uint64 // by age: the newest first
}

func newSeen(sets int) *seen { return &seen{sets: make([][seenWays][2]uint64, sets)} }

// before tells whether a text was there before, and remembers it.
func (s *seen) before(text string) bool {
	sum := sha256.Sum256([]byte(text))
	key := [2]uint64{binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])}
	set := &s.sets[binary.LittleEndian.Uint64(sum[16:])%uint64(len(s.sets))]
	at := 0
	for at < seenWays-1 && set[at] != key {
		at++
	}
	found := set[at] == key
	copy(set[1:at+1], set[:at])
	set[0] = key
	return found
}
