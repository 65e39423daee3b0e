package hub

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// Scheme is how a source begins.
const Scheme = "hf://"

const defaultRevision = "main"

// Source names files of a dataset on the hub.
type Source struct {
	Owner, Name string
	Path        string // a folder or one file, with slashes; "" = all of the dataset
	Revision    string // a branch, tag or commit
}

var repoName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// ParseSource reads hf://datasets/OWNER/NAME[/PATH][@REVISION]. The revision may also follow the name, as Hugging
// Face's tools write it, there with its slashes as %2F, which is understood in either place. It is "main" where none is
// given.
func ParseSource(s string) (Source, error) {
	wrong := func(what string) (Source, error) {
		return Source{}, fmt.Errorf("%q: %s; a source is hf://datasets/OWNER/NAME[/PATH][@REVISION]", s, what)
	}
	rest, ok := strings.CutPrefix(s, Scheme+"datasets/")
	if !ok {
		return wrong("not a dataset on the hub")
	}
	owner, rest, _ := strings.Cut(rest, "/")
	repo, file, _ := strings.Cut(rest, "/")
	name, revision, named := strings.Cut(repo, "@")
	if at := strings.LastIndexByte(file, '@'); !named && at >= 0 {
		file, revision, named = file[:at], file[at+1:], true
	}
	if !named {
		revision = defaultRevision
	}
	revision, err := url.PathUnescape(revision)
	if err != nil {
		return wrong("the revision is wrongly escaped")
	}
	file = strings.TrimSuffix(file, "/")
	switch {
	case !isRepoName(owner) || !isRepoName(name):
		return wrong("the owner or the name is missing or not one")
	case file != "" && !isLocal(file):
		return wrong("the path is not one below the dataset")
	case !isLocal(revision):
		return wrong("the revision is not one")
	}
	return Source{Owner: owner, Name: name, Path: file, Revision: revision}, nil
}

// String is the source as ParseSource reads it.
func (s Source) String() string {
	return Scheme + "datasets/" + path.Join(s.Owner+"/"+s.Name+"@"+url.PathEscape(s.Revision), s.Path)
}

// repo is the dataset's identity on the hub.
func (s Source) repo() string { return s.Owner + "/" + s.Name }

// folder is the dataset's folder in the cache.
func (s Source) folder() string { return "datasets--" + s.Owner + "--" + s.Name }

// isRepoName also refuses what would make two datasets share a folder.
func isRepoName(s string) bool { return repoName.MatchString(s) && !strings.Contains(s, "--") }

// isLocal reports whether a path with slashes, as another machine names it, stays
// below where it is put, whatever system this is, and is written the one way.
func isLocal(p string) bool {
	control := func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == ':' }
	return p != "." && p == path.Clean(p) && filepath.IsLocal(filepath.FromSlash(p)) &&
		strings.IndexFunc(p, control) < 0
}

// escape is a path's form in a URL, its slashes kept.
func escape(p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}
