package logs

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"steplm/internal/disk"
)

// An event file of TensorBoard is records as TensorFlow's TFRecord has them, each a message of tensorflow.Event
// (tensorflow/core/util/event.proto, framework/summary.proto). Numbers are f32 there.

const (
	eventsPrefix = "events.out.tfevents."
	eventsSuffix = ".steplm"
)

// Fields of the messages.
const (
	eventWallTime    protowire.Number = 1
	eventStep        protowire.Number = 2
	eventFileVersion protowire.Number = 3
	eventSummary     protowire.Number = 5
	eventSessionLog  protowire.Number = 7
	summaryValue     protowire.Number = 1
	valueTag         protowire.Number = 1
	valueSimple      protowire.Number = 2
	valueTensor      protowire.Number = 8
	valueMetadata    protowire.Number = 9
	metadataPlugin   protowire.Number = 1
	pluginName       protowire.Number = 1
	tensorType       protowire.Number = 1
	tensorString     protowire.Number = 8
	typeString                        = 7
	sessionStatus    protowire.Number = 1
	sessionStart                      = 1 // TensorBoard then forgets what it has of this step and later ones
)

type tensorBoard struct{ file *os.File }

// beginTensorBoard begins a file that comes after those that are there, since a TensorBoard that is running reads files
// in their order and none anew, and removes those. The new one begins with word to forget them.
func beginTensorBoard(r Run) (Sink, error) {
	entries, err := os.ReadDir(r.Dir)
	if err != nil {
		return nil, err
	}
	second := r.Began.Unix()
	var old []string
	for _, e := range entries {
		middle, ok := strings.CutPrefix(e.Name(), eventsPrefix)
		if middle, ours := strings.CutSuffix(middle, eventsSuffix); ok && ours {
			var at int64
			if n, err := fmt.Sscanf(middle, "%d", &at); n == 1 && err == nil {
				second = max(second, at+1)
				old = append(old, e.Name())
			}
		}
	}
	f, err := os.Create(filepath.Join(r.Dir, fmt.Sprintf("%s%010d%s", eventsPrefix, second, eventsSuffix)))
	if err != nil {
		return nil, err
	}
	s := &tensorBoard{f}
	version := protowire.AppendString(protowire.AppendTag(eventAt(r.Began, 0), eventFileVersion, protowire.BytesType),
		"brain.Event:2")
	log := protowire.AppendVarint(protowire.AppendTag(nil, sessionStatus, protowire.VarintType), sessionStart)
	start := protowire.AppendBytes(protowire.AppendTag(eventAt(r.Began, 0), eventSessionLog, protowire.BytesType), log)
	for _, message := range [][]byte{version, start} {
		if err := s.record(message); err != nil {
			f.Close()
			return nil, err
		}
	}
	for _, name := range old {
		_ = disk.Remove(filepath.Join(r.Dir, name)) // What stays is forgotten at the new file's beginning.
	}
	return s, nil
}

func (s *tensorBoard) Point(p Point) error {
	if len(p.Values) == 0 && len(p.Texts) == 0 {
		return nil
	}
	var summary []byte
	for _, t := range p.Texts {
		value := protowire.AppendString(protowire.AppendTag(nil, valueTag, protowire.BytesType), t.Name)
		value = append(value, message(valueTensor, slices.Concat(number(tensorType, typeString),
			text(tensorString, code(t.Text))))...)
		value = append(value, message(valueMetadata, message(metadataPlugin, text(pluginName, "text")))...)
		summary = append(summary, message(summaryValue, value)...)
	}
	for _, v := range p.Values {
		value := protowire.AppendString(protowire.AppendTag(nil, valueTag, protowire.BytesType), v.Name)
		value = protowire.AppendTag(value, valueSimple, protowire.Fixed32Type)
		value = protowire.AppendFixed32(value, math.Float32bits(float32(v.Value)))
		summary = protowire.AppendBytes(protowire.AppendTag(summary, summaryValue, protowire.BytesType), value)
	}
	event := protowire.AppendTag(eventAt(p.Time, p.Step), eventSummary, protowire.BytesType)
	return s.record(protowire.AppendBytes(event, summary))
}

// code is a text as Markdown's code, in which nothing of it has a meaning: TensorBoard shows texts as Markdown.
func code(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n    ") }

// eventAt is the beginning of an event.
func eventAt(at time.Time, step int) []byte {
	b := protowire.AppendTag(nil, eventWallTime, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, math.Float64bits(unixSeconds(at)))
	b = protowire.AppendTag(b, eventStep, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(step))
}

// unixSeconds is a time in seconds, to the microsecond.
func unixSeconds(at time.Time) float64 { return float64(at.UnixMicro()) / 1e6 }

// record writes a TFRecord: length, its checksum, data, their checksum.
func (s *tensorBoard) record(data []byte) error {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, maskedCRC(b))
	b = append(b, data...)
	_, err := s.file.Write(binary.LittleEndian.AppendUint32(b, maskedCRC(data)))
	return err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC is a CRC-32C as TFRecord has it, so that a checksum of checksums is none of zeros.
func maskedCRC(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

func (s *tensorBoard) Save() error  { return nil } // Every record is a write.
func (s *tensorBoard) Close() error { return s.file.Close() }
