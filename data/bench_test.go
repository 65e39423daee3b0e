package data

import (
	"testing"

	"steplm/data/datatest"
)

// BenchmarkDocuments reads the real shards' text without tokenizing it.
func BenchmarkDocuments(b *testing.B) {
	s, err := Open(datatest.Path(b, "fineweb_edu/train"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		size := int64(0)
		for d, err := range s.Documents(Position{}) {
			if err != nil {
				b.Fatal(err)
			}
			size += int64(len(d.Text))
		}
		b.SetBytes(size)
	}
}

// BenchmarkNewBatch sorts 16 windows of 1024 ids.
func BenchmarkNewBatch(b *testing.B) {
	inputs := make([]uint32, 16*1024)
	for i := range inputs {
		inputs[i] = uint32(mix(uint64(i)) % 32000)
	}
	for b.Loop() {
		NewBatch(inputs, inputs)
	}
}
