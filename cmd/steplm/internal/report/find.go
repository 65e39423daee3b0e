package report

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"steplm/cmd/steplm/internal/view"
	"steplm/stage/experiment"
	"steplm/stage/record"
	"steplm/stage/results"
)

// deepest is how many folders below one that is given runs are looked for: an experiment's are in its runs.
const deepest = 4

// found is a folder that holds a run, or that was to hold one.
type found struct {
	dir string
	// row is what an experiment's table says of the run; nil: none does.
	row *results.Row
}

// find lists the runs in folders: each folder's own, or those below it. What cannot be used is said in problems.
func find(dirs []string) (list []found, problems []string) {
	seen := map[string]bool{}
	add := func(f found) {
		key, err := filepath.Abs(f.dir)
		if err != nil {
			key = f.dir
		}
		if real, err := filepath.EvalSymlinks(key); err == nil {
			key = real
		}
		if !seen[key] {
			seen[key] = true
			list = append(list, f)
		}
	}
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		switch {
		case err != nil:
			problems = append(problems, err.Error())
			continue
		case !info.IsDir():
			problems = append(problems, fmt.Sprintf("%s is no folder: name a run's, or one that runs are in", dir))
			continue
		}
		below, wrong := runsBelow(dir)
		for _, run := range below {
			add(found{dir: run})
		}
		problems = append(problems, wrong...)
		if len(below) == 0 {
			problems = append(
				problems,
				fmt.Sprintf("%s holds no run, and no folder down to %d below it does", dir, deepest),
			)
		}
	}
	tabled, whole, wrong := tabledRuns(list, dirs)
	problems = append(problems, wrong...)
	for name, row := range tabled {
		if at := slices.IndexFunc(list, func(f found) bool { return sameDir(f.dir, name) }); at >= 0 {
			list[at].row = row
		} else if within(dirs, filepath.Dir(filepath.Dir(name))) { // It has not begun; nobody asked for others.
			add(found{dir: name, row: row})
		}
	}
	list, wrong = inTables(list, whole, dirs)
	slices.SortFunc(list, func(a, b found) int { return strings.Compare(a.dir, b.dir) })
	return list, append(problems, wrong...)
}

// inTables leaves out the runs that lie among an experiment's and are not in its table, such as those of another one
// that had its folder before: they would be compared with nothing. A run that is named itself stays.
func inTables(list []found, whole []string, dirs []string) (kept []found, problems []string) {
	left := map[string]int{}
	for _, f := range list {
		runs := filepath.Dir(f.dir)
		named := slices.ContainsFunc(dirs, func(dir string) bool { return sameDir(dir, f.dir) })
		if f.row == nil && !named && slices.ContainsFunc(whole, func(dir string) bool { return sameDir(dir, runs) }) {
			left[runs]++
			continue
		}
		kept = append(kept, f)
	}
	for _, runs := range slices.Sorted(maps.Keys(left)) {
		problems = append(problems, fmt.Sprintf("left out: %s in %s without a row in its experiment's %s, which "+
			"another experiment may have trained; name a run's folder to have it",
			view.Plural(int64(left[runs]), "run", "runs"), runs, experiment.ResultsFile))
	}
	return kept, problems
}

// runsBelow lists the folders with runs in a folder: itself, or those below it.
func runsBelow(dir string) (list, problems []string) {
	// A link is not walked, so what it leads to is; a run keeps the name by which it was given.
	if info, err := os.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if holdsRun(dir) {
			return []string{dir}, nil
		}
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
	}
	depth := strings.Count(filepath.Clean(dir), string(filepath.Separator))
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			problems = append(problems, err.Error())
			return fs.SkipDir
		case !d.IsDir():
			return nil
		case path != dir && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		}
		if holdsRun(path) {
			list = append(list, path)
			return fs.SkipDir
		}
		if strings.Count(filepath.Clean(path), string(filepath.Separator))-depth >= deepest {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		problems = append(problems, err.Error())
	}
	return list, problems
}

// within reports whether a folder is one of those given, or below one.
func within(dirs []string, dir string) bool {
	return slices.ContainsFunc(dirs, func(given string) bool {
		below, err := filepath.Rel(given, dir)
		return err == nil && filepath.IsLocal(below)
	})
}

// tabledRuns are the rows of the tables that experiments keep beside their runs, by the folders of these: of the
// experiments in folders, and of those that runs belong to. The folders of runs whose table could be read are whole.
func tabledRuns(list []found, dirs []string) (rows map[string]*results.Row, whole, problems []string) {
	rows = map[string]*results.Row{}
	dirs = slices.Clone(dirs)
	for _, f := range list {
		if runs := filepath.Dir(f.dir); filepath.Base(runs) == experiment.RunsDir {
			dirs = append(dirs, filepath.Dir(runs))
		}
	}
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		path := filepath.Join(dir, experiment.ResultsFile)
		runs := filepath.Join(dir, experiment.RunsDir)
		if !exists(path) || !exists(runs) {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		list, err := results.ReadCSV(f)
		f.Close()
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", path, err))
		} else {
			whole = append(whole, runs)
		}
		for _, row := range list {
			rows[filepath.Join(runs, filepath.Base(row.Run))] = &row
		}
	}
	return rows, whole, problems
}

// holdsRun reports whether a folder is a run's, or what is left of one.
func holdsRun(dir string) bool {
	return record.HoldsRun(dir) || exists(filepath.Join(dir, record.File))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func sameDir(a, b string) bool {
	x, errX := filepath.Abs(a)
	y, errY := filepath.Abs(b)
	return errX == nil && errY == nil && x == y
}
