package logs

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"path/filepath"
	"testing"
)

// errCut is a file that ends within a record.
var errCut = errors.New("cut")

// tfRecords reads the records of an event file as TensorBoard does: up to one that is cut.
func tfRecords(t *testing.T, text string) (list []string, err error) {
	t.Helper()
	b := []byte(text)
	for len(b) > 0 {
		if len(b) < 16 || uint64(len(b)-16) < binary.LittleEndian.Uint64(b) {
			return list, errCut
		}
		n := binary.LittleEndian.Uint64(b)
		if binary.LittleEndian.Uint32(b[8:]) != maskedCRC(b[:8]) ||
			binary.LittleEndian.Uint32(b[12+n:]) != maskedCRC(b[12:12+n]) {
			t.Fatalf("record %d has another checksum", len(list))
		}
		list = append(list, string(b[12:12+n]))
		b = b[16+n:]
	}
	return list, nil
}

// wandbRecords reads those of a .wandb file likewise.
func wandbRecords(t *testing.T, text string) (list []string, err error) {
	t.Helper()
	if len(text) < len(wandbMagic) || text[:len(wandbMagic)] != wandbMagic {
		return nil, errCut
	}
	b, at, part, begun := []byte(text), len(wandbMagic), "", false
	for at < len(b) {
		if left := wandbBlock - at%wandbBlock; left < recordHead {
			at += left
			continue
		}
		if len(b)-at < recordHead {
			return list, errCut
		}
		n := int(binary.LittleEndian.Uint16(b[at+4:]))
		if len(b)-at < recordHead+n {
			return list, errCut
		}
		kind, data := b[at+6], b[at+recordHead:at+recordHead+n]
		if binary.LittleEndian.Uint32(b[at:]) != crc32.ChecksumIEEE(b[at+6:at+recordHead+n]) {
			t.Fatalf("record %d has another checksum", len(list))
		}
		if (kind == 1 || kind == 2) == begun {
			t.Fatalf("record %d has a part of kind %d out of order", len(list), kind)
		}
		part, begun = part+string(data), kind == 2 || kind == 3
		if !begun {
			list, part = append(list, part), ""
		}
		at += recordHead + n
	}
	if begun {
		return list, errCut
	}
	return list, nil
}

// trackioRow is a row of Trackio's metrics; the first one is of its configs, without a step.
type trackioRow struct {
	Time, Name, Text string
	Step             int
}

func trackioRows(t *testing.T, dir string) (list []trackioRow) {
	t.Helper()
	db, err := sql.Open("sqlite", databaseAt(filepath.Join(dir, trackioDir, Project+".db")))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT created_at, run_name, config, 0, 0 FROM configs UNION ALL " +
		"SELECT timestamp, run_name, metrics, step, id FROM metrics ORDER BY 5")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var r trackioRow
		var id int
		if err := rows.Scan(&r.Time, &r.Name, &r.Text, &r.Step, &id); err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}
