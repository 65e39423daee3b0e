package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errThriftEnds says that a structure goes on beyond the bytes at hand.
var errThriftEnds = errors.New("it ends early")

// thrift walks structures in Thrift's compact protocol, in which Parquet's
// footer and page headers are written. No length that they claim is believed
// before as many bytes are there, and nothing is allocated.
// https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
type thrift struct {
	data []byte
	at   int
	err  error // the first; sticks
}

// The compact protocol's types.
const (
	thriftTrue = iota + 1
	thriftFalse
	thriftByte
	thriftI16
	thriftI32
	thriftI64
	thriftDouble
	thriftBinary
	thriftList
	thriftSet
	thriftMap
	thriftStruct
)

// maxThriftDepth is more than any Parquet structure is nested.
const maxThriftDepth = 32

func (t *thrift) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

func (t *thrift) byte() byte {
	if t.err != nil || t.at >= len(t.data) {
		t.fail(errThriftEnds)
		return 0
	}
	t.at++
	return t.data[t.at-1]
}

func (t *thrift) uvarint() uint64 {
	if t.err != nil {
		return 0
	}
	v, k := binary.Uvarint(t.data[t.at:])
	if k == 0 {
		t.fail(errThriftEnds)
	} else if k < 0 {
		t.fail(errors.New("a number of more than 64 bits"))
	} else {
		t.at += k
	}
	return v
}

// integer reads an i16, i32 or i64.
func (t *thrift) integer() int64 {
	v := t.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (t *thrift) skipBytes(n uint64) {
	if t.err == nil && n > uint64(len(t.data)-t.at) {
		t.fail(errThriftEnds)
	}
	if t.err == nil {
		t.at += int(n)
	}
}

// fields reads a structure and offers each field to use, which says whether it
// read it; others are skipped.
func (t *thrift) fields(depth int, use func(id int64, typ byte) bool) {
	if depth > maxThriftDepth {
		t.fail(errors.New("it is nested too deeply"))
	}
	id := int64(0)
	for t.err == nil {
		header := t.byte()
		if t.err != nil || header == 0 {
			return
		}
		if delta := header >> 4; delta > 0 {
			id += int64(delta)
		} else {
			id = t.integer()
		}
		if typ := header & 0xF; use == nil || !use(id, typ) {
			t.skip(typ, depth, false)
		}
	}
}

// skip passes over one value.
func (t *thrift) skip(typ byte, depth int, element bool) {
	if depth > maxThriftDepth {
		t.fail(errors.New("it is nested too deeply"))
	}
	if t.err != nil {
		return
	}
	switch typ {
	case thriftTrue, thriftFalse: // a field's value is its type
		if element {
			t.byte()
		}
	case thriftByte:
		t.byte()
	case thriftI16, thriftI32, thriftI64:
		t.uvarint()
	case thriftDouble:
		t.skipBytes(8)
	case thriftBinary:
		t.skipBytes(t.uvarint())
	case thriftList, thriftSet:
		header := t.byte()
		n := uint64(header >> 4)
		if n == 15 {
			n = t.uvarint()
		}
		t.elements(n, 1)
		for range n {
			if t.skip(header&0xF, depth+1, true); t.err != nil {
				return
			}
		}
	case thriftMap:
		n := t.uvarint()
		t.elements(n, 2)
		if n == 0 || t.err != nil {
			return
		}
		types := t.byte()
		for range n {
			t.skip(types>>4, depth+1, true)
			if t.skip(types&0xF, depth+1, true); t.err != nil {
				return
			}
		}
	case thriftStruct:
		t.fields(depth+1, nil)
	default:
		t.fail(errors.New("a value of an unknown type"))
	}
}

// elements checks that n elements of at least some bytes each can be there.
func (t *thrift) elements(n, bytes uint64) {
	if t.err == nil && n > uint64(len(t.data)-t.at)/bytes {
		t.fail(errThriftEnds)
	}
}

// walkFooter checks the lengths that a footer claims, and that no group of its
// schema claims more children than the schema has elements.
func walkFooter(footer []byte) error {
	t := &thrift{data: footer}
	children, elements := int64(0), uint64(0)
	t.fields(0, func(id int64, typ byte) bool {
		if id != 2 || typ != thriftList {
			return false
		}
		header := t.byte()
		elements = uint64(header >> 4)
		if elements == 15 {
			elements = t.uvarint()
		}
		t.elements(elements, 1)
		for i := uint64(0); i < elements && t.err == nil; i++ {
			t.fields(1, func(id int64, typ byte) bool {
				if id != 5 || typ != thriftI32 {
					return false
				}
				children = max(children, t.integer())
				return true
			})
		}
		return true
	})
	if t.err == nil && uint64(children) >= max(elements, 1) {
		t.fail(fmt.Errorf("a group of %d columns in a schema of %d elements", children, elements))
	}
	return t.err
}

// pageHeader is Parquet's, as far as it is used.
type pageHeader struct {
	kind                     int64 // one of pageKinds
	uncompressed, compressed int64
	crc                      int64
	hasCRC                   bool
	values, nulls, rows      int64
	encoding                 int64
	definition, repetition   int64 // bytes of levels, in data pages of version 2
	plain                    bool  // version 2: the values are not compressed
	// Of levels, in data pages of version 1.
	definitionEncoding, repetitionEncoding int64
}

// Kinds of pages.
const (
	dataPage = iota
	indexPage
	dictionaryPage
	dataPageV2
)

// parsePageHeader reads a header at the start of b and says how long it is. It
// gives errThriftEnds if b holds only its beginning.
func parsePageHeader(b []byte) (h pageHeader, n int, err error) {
	t := &thrift{data: b}
	into := func(fields map[int64]*int64) func(int64, byte) bool {
		return func(id int64, typ byte) bool {
			p := fields[id]
			if p == nil || typ != thriftI32 {
				return false
			}
			*p = t.integer()
			return true
		}
	}
	h.kind = -1
	top := into(map[int64]*int64{1: &h.kind, 2: &h.uncompressed, 3: &h.compressed, 4: &h.crc})
	t.fields(0, func(id int64, typ byte) bool {
		h.hasCRC = h.hasCRC || id == 4 && typ == thriftI32
		if typ != thriftStruct {
			return top(id, typ)
		}
		switch id {
		case 5:
			t.fields(1, into(map[int64]*int64{1: &h.values, 2: &h.encoding, 3: &h.definitionEncoding,
				4: &h.repetitionEncoding}))
		case 7:
			t.fields(1, into(map[int64]*int64{1: &h.values, 2: &h.encoding}))
		case 8:
			v2 := into(map[int64]*int64{1: &h.values, 2: &h.nulls, 3: &h.rows, 4: &h.encoding, 5: &h.definition,
				6: &h.repetition})
			t.fields(1, func(id int64, typ byte) bool {
				if id == 7 {
					h.plain = typ == thriftFalse
				}
				return v2(id, typ)
			})
		default:
			return false
		}
		return true
	})
	return h, t.at, t.err
}
