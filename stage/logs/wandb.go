package logs

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"steplm/stage/record"
)

// An offline run of wandb is a file of records in the blocks of LevelDB's log, but that checksums are of IEEE's
// polynomial; each is a message wandb_internal.Record (wandb/proto/wandb_internal.proto).

const (
	wandbDir    = "wandb"
	wandbPrefix = "offline-run-"
	wandbBlock  = 32 << 10 // bytes, of the first with those of wandbMagic
	wandbMagic  = ":W&B\xe1\xbe\x00"
	// recordHead is checksum, length, and which part of a record it is.
	recordHead = 7
)

// Project is the name under which wandb and Trackio list runs.
const Project = "steplm"

// Fields of the messages.
const (
	recordNum     protowire.Number = 1
	recordHistory protowire.Number = 2
	recordSummary protowire.Number = 3
	recordRun     protowire.Number = 17
	recordExit    protowire.Number = 18
	recordHeader  protowire.Number = 21

	headerVersion   protowire.Number = 1
	versionProducer protowire.Number = 1
	versionOldest   protowire.Number = 2

	runID        protowire.Number = 1
	runProject   protowire.Number = 3
	runConfig    protowire.Number = 4
	runName      protowire.Number = 8
	runStart     protowire.Number = 17
	timeSeconds  protowire.Number = 1
	timeNanos    protowire.Number = 2
	configUpdate protowire.Number = 1

	historyItem   protowire.Number = 1
	historyStep   protowire.Number = 2
	stepNum       protowire.Number = 1
	summaryUpdate protowire.Number = 1

	itemKey    protowire.Number = 1
	itemNested protowire.Number = 2
	itemValue  protowire.Number = 16

	exitCode    protowire.Number = 1
	exitRuntime protowire.Number = 2
)

type wandb struct {
	file  *os.File
	at    int64 // in the file
	num   int64 // of records
	row   map[string]float64
	step  int   // of row
	last  Point // that was taken
	ended bool  // in an End
}

// beginWandb writes the file anew, under the name that it has, if there is one: wandb knows a run by it.
func beginWandb(r Run) (Sink, error) {
	dir := filepath.Join(r.Dir, wandbDir)
	name := wandbPrefix + r.Began.UTC().Format("20060102_150405") + "-" + r.identity(8)
	entries, _ := os.ReadDir(dir) // Where there is none, one is made.
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), wandbPrefix) {
			name = e.Name()
		}
	}
	id := name[strings.LastIndexByte(name, '-')+1:]
	if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(dir, name, "run-"+id+".wandb"))
	if err != nil {
		return nil, err
	}
	s := &wandb{file: f, row: map[string]float64{}}
	n, err := f.WriteString(wandbMagic)
	s.at = int64(n)
	if err == nil {
		err = s.record(recordHeader, message(headerVersion, slices.Concat(
			text(versionProducer, "steplm"), text(versionOldest, "0.12.0"))))
	}
	if err == nil {
		err = s.record(recordRun, describeRun(r, id))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

func describeRun(r Run, id string) []byte {
	b := slices.Concat(text(runID, id), text(runProject, Project))
	var config []byte
	for _, key := range slices.Sorted(maps.Keys(r.Config)) {
		config = append(config, message(configUpdate, slices.Concat(text(itemKey, key),
			message(itemValue, r.Config[key])))...)
	}
	return slices.Concat(b, message(runConfig, config), text(runName, r.Name), message(runStart, timestamp(r.Began)))
}

func timestamp(at time.Time) []byte {
	return slices.Concat(number(timeSeconds, at.Unix()), number(timeNanos, int64(at.Nanosecond())))
}

// Point adds to the row of its step. wandb has one row a step, which is written when the next one begins.
func (s *wandb) Point(p Point) (err error) {
	if _, ok := p.Event.(record.End); ok {
		s.ended = true
	}
	if len(p.Values) > 0 && p.Step != s.step {
		err = s.write()
	}
	for _, v := range p.Values {
		s.row[v.Name], s.step = v.Value, p.Step
	}
	s.last = p
	return err
}

// write writes the row, if there is one.
func (s *wandb) write() error {
	if len(s.row) == 0 {
		return nil
	}
	s.row["_step"], s.row["_runtime"], s.row["_timestamp"] = float64(s.step), s.last.Seconds, unixSeconds(s.last.Time)
	var history, summary []byte
	for _, name := range slices.Sorted(maps.Keys(s.row)) {
		value, err := json.Marshal(s.row[name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		item := slices.Concat(text(itemNested, name), message(itemValue, value))
		history = append(history, message(historyItem, item)...)
		summary = append(summary, message(summaryUpdate, item)...)
	}
	history = append(history, message(historyStep, number(stepNum, int64(s.step)))...)
	clear(s.row)
	if err := s.record(recordSummary, summary); err != nil {
		return err
	}
	return s.record(recordHistory, history)
}

// record writes a record with one field.
func (s *wandb) record(field protowire.Number, content []byte) error {
	s.num++
	data := slices.Concat(number(recordNum, s.num), message(field, content))
	var out []byte
	for first := true; first || len(data) > 0; first = false {
		room := wandbBlock - (s.at+int64(len(out)))%wandbBlock
		if room < recordHead {
			out = append(out, make([]byte, room)...)
			room = wandbBlock
		}
		part := data[:min(int64(len(data)), room-recordHead)]
		data = data[len(part):]
		kind := byte(3) // in the middle
		switch whole := len(data) == 0; {
		case first && whole:
			kind = 1
		case first:
			kind = 2
		case whole:
			kind = 4
		}
		out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(append([]byte{kind}, part...)))
		out = binary.LittleEndian.AppendUint16(out, uint16(len(part)))
		out = append(append(out, kind), part...)
	}
	n, err := s.file.Write(out)
	s.at += int64(n)
	return err
}

// Save writes nothing: rows are written when they are whole.
func (s *wandb) Save() error { return nil }

// Close ends the run, in wandb's words with the code of a process: 0 after its last step, else 1.
func (s *wandb) Close() error {
	defer s.file.Close()
	if err := s.write(); err != nil {
		return err
	}
	code := int64(1)
	if s.ended {
		code = 0
	}
	if err := s.record(recordExit, slices.Concat(number(exitCode, code),
		number(exitRuntime, int64(s.last.Seconds)))); err != nil {
		return err
	}
	return s.file.Close()
}

// message is a field that holds a message, or bytes.
func message(field protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), content)
}

func text(field protowire.Number, s string) []byte { return message(field, []byte(s)) }

func number(field protowire.Number, n int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), uint64(n))
}
