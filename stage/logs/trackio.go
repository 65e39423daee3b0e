package logs

import (
	"database/sql"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// trackioDir holds one database for each of Trackio's projects.
const trackioDir = "trackio"

// trackioTables are the least that Trackio reads, of its version 0: it adds what later ones have.
const trackioTables = `
CREATE TABLE IF NOT EXISTS metrics (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL,
	timestamp TEXT NOT NULL, run_name TEXT NOT NULL, step INTEGER NOT NULL, metrics TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS configs (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL,
	run_name TEXT NOT NULL, config TEXT NOT NULL, created_at TEXT NOT NULL, UNIQUE(run_id));`

type trackio struct {
	db       *sql.DB
	begin    *sql.Tx // until the first Save, so that a dashboard never sees half of a run
	id, name string
}

// execer is a transaction or, without one, the database.
type execer interface {
	Exec(query string, args ...any) (sql.Result, error)
}

// beginTrackio empties the tables, and keeps the run's identity, if it has one: a dashboard knows the run by it.
func beginTrackio(r Run) (_ Sink, err error) {
	dir, err := filepath.Abs(filepath.Join(r.Dir, trackioDir))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", databaseAt(filepath.Join(dir, Project+".db")))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	s := &trackio{db: db, id: r.identity(32), name: r.Name}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if _, err := db.Exec(trackioTables); err != nil {
		return nil, err
	}
	if err := db.QueryRow("SELECT run_id FROM configs").Scan(&s.id); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	if s.begin, err = db.Begin(); err != nil {
		return nil, err
	}
	config, err := json.Marshal(r.Config)
	if err != nil {
		return nil, err
	}
	if _, err := s.begin.Exec("DELETE FROM metrics"); err != nil {
		return nil, err
	}
	if _, err := s.begin.Exec("DELETE FROM configs"); err != nil {
		return nil, err
	}
	_, err = s.begin.Exec("INSERT INTO configs (run_id, run_name, config, created_at) VALUES (?, ?, ?, ?)", s.id,
		s.name,
		string(config), trackioTime(r.Began))
	return s, err
}

// databaseAt names a file as SQLite does, with what Trackio sets, too: a reader sees whole transactions while there is
// a writer, and both wait for each other. A transaction then survives the end of the process, though not of the system.
func databaseAt(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/runs
	}
	at := url.URL{Scheme: "file", Path: path, RawQuery: "_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)" +
		"&_pragma=synchronous(normal)"}
	return at.String()
}

func trackioTime(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000000+00:00") }

func (s *trackio) Point(p Point) error {
	if len(p.Values) == 0 {
		return nil
	}
	numbers := map[string]float64{}
	for _, v := range p.Values {
		numbers[v.Name] = v.Value
	}
	text, err := json.Marshal(numbers)
	if err != nil {
		return err
	}
	var to execer = s.db
	if s.begin != nil {
		to = s.begin
	}
	_, err = to.Exec("INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES (?, ?, ?, ?, ?)", s.id,
		trackioTime(p.Time), s.name, p.Step, string(text))
	return err
}

func (s *trackio) Save() error {
	if s.begin == nil {
		return nil
	}
	err := s.begin.Commit()
	s.begin = nil
	return err
}

func (s *trackio) Close() error {
	if s.begin != nil {
		s.begin.Rollback() // It failed, and what was there stays.
	}
	return s.db.Close()
}
