package flags

import "testing"

func TestByteSize(t *testing.T) {
	for text, want := range map[string]ByteSize{
		"6GiB": 6 << 30, "6gib": 6 << 30, "1.5 GiB": 3 << 29, "500MB": 5e8, "500M": 500 << 20, "2k": 2048, "17": 17,
		"17B": 17, "1TiB": 1 << 40,
	} {
		var b ByteSize
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%q is %d bytes (%v), want %d", text, b, err, want)
		}
	}
	for _, text := range []string{"", "GiB", "-1", "0", "6GiBs", "nan", "inf", "1e30GiB", "six", "0.5", "0.0001k"} {
		var b ByteSize
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %d bytes, want an error", text, b)
		}
	}
}
