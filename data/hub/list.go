package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Bounds on what a server may make this process hold.
const (
	maxAnswer = 64 << 20 // bytes of one page
	maxPages  = 10_000
)

// File is a file as the hub lists it.
type File struct {
	Path string // below the dataset, with slashes
	Size int64  // bytes
	Hash string // the blob's name: SHA-256 of large files, Git's SHA-1 of others, in hex
}

var (
	commitHash = regexp.MustCompile(`^[0-9a-f]{40}$`)
	blobHash   = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// List resolves the source's revision to a commit and lists the files of data that the source names, sorted by path:
// Parquet files, or where there are none those of JSON.
func (c *Client) List(ctx context.Context, s Source) (commit string, files []File, err error) {
	if commit, err = c.resolve(ctx, s); err == nil {
		files, err = c.tree(ctx, s, commit)
	}
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", s, c.explain(s, err))
	}
	if len(files) == 0 {
		return "", nil, fmt.Errorf("%s: no Parquet file there, and none of JSON", s)
	}
	return commit, files, nil
}

const parquetSuffix = ".parquet"

// jsonSuffixes are the endings of files of JSON.
var jsonSuffixes = []string{".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".json.gz", ".json.zst"}

// aboutData are files of JSON that say something of a dataset and hold none of it.
var aboutData = []string{"dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json"}

// isJSON reports whether a file is one of JSON, by its name.
func isJSON(name string) bool {
	return !slices.Contains(aboutData, path.Base(name)) &&
		slices.ContainsFunc(jsonSuffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) })
}

// dataFiles are the Parquet files of a list, or where there are none those of JSON.
func dataFiles(files []File) []File {
	isParquet := func(f File) bool { return strings.HasSuffix(f.Path, parquetSuffix) }
	if slices.ContainsFunc(files, isParquet) {
		return slices.DeleteFunc(files, func(f File) bool { return !isParquet(f) })
	}
	return files
}

func (c *Client) api(s Source) string { return c.Endpoint + "/api/datasets/" + s.repo() }

func (c *Client) resolve(ctx context.Context, s Source) (string, error) {
	if commitHash.MatchString(s.Revision) {
		return s.Revision, nil
	}
	var answer struct {
		SHA string `json:"sha"`
	}
	if _, err := c.getJSON(ctx, c.api(s)+"/revision/"+url.PathEscape(s.Revision), &answer); err != nil {
		return "", err
	}
	if !commitHash.MatchString(answer.SHA) {
		return "", fmt.Errorf("the hub gives %q for the commit of %s", answer.SHA, s.Revision)
	}
	return answer.SHA, nil
}

// entry is one of a listing, as the hub writes it.
type entry struct {
	Type string `json:"type"`
	OID  string `json:"oid"`
	Size int64  `json:"size"`
	Path string `json:"path"`
	LFS  *struct {
		OID  string `json:"oid"`
		Size int64  `json:"size"`
	} `json:"lfs"`
}

func (c *Client) tree(ctx context.Context, s Source, commit string) ([]File, error) {
	folder, one := s.Path, strings.HasSuffix(s.Path, parquetSuffix) || isJSON(s.Path)
	if one {
		if folder = path.Dir(s.Path); folder == "." {
			folder = ""
		}
	}
	address := c.api(s) + "/tree/" + commit
	if folder != "" {
		address += "/" + escape(folder)
	}
	address += "?recursive=1"
	var files []File
	seen := map[string]int{} // the numbers of pages
	for address != "" {
		if earlier, again := seen[address]; again {
			return nil, fmt.Errorf("the hub's listing does not end: after page %d comes page %d again", len(seen),
				earlier)
		}
		if len(seen) == maxPages {
			return nil, fmt.Errorf("the listing does not end after %d pages", maxPages)
		}
		seen[address] = len(seen) + 1
		var entries []entry
		next, err := c.getJSON(ctx, address, &entries)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			isData := strings.HasSuffix(e.Path, parquetSuffix) || isJSON(e.Path)
			if e.Type != "file" || !isData || one && e.Path != s.Path {
				continue
			}
			f := File{Path: e.Path, Size: e.Size, Hash: e.OID}
			if e.LFS != nil {
				f.Size, f.Hash = e.LFS.Size, strings.TrimPrefix(e.LFS.OID, "sha256:")
			}
			// These become names in the cache: nothing may lead out of it.
			if !isLocal(f.Path) || !blobHash.MatchString(f.Hash) || f.Size < 0 {
				return nil, fmt.Errorf("the hub lists a file that cannot be: path %q, hash %q, %d bytes", f.Path,
					f.Hash, f.Size)
			}
			files = append(files, f)
		}
		address = next
	}
	files = dataFiles(files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return slices.CompactFunc(files, func(a, b File) bool { return a.Path == b.Path }), nil
}

// getJSON decodes an answer and returns the address of the page after it.
func (c *Client) getJSON(ctx context.Context, address string, to any) (next string, err error) {
	err = c.retry(ctx, func() (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, c.Stall)
		defer cancel()
		resp, err := c.get(ctx, address, nil)
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
		if err != nil {
			return false, err
		}
		if len(body) > maxAnswer {
			return false, final{fmt.Errorf("the hub's answer is over %d bytes", maxAnswer)}
		}
		if err := json.Unmarshal(body, to); err != nil {
			return false, final{fmt.Errorf("the hub's answer is not what it should be: %w; is HF_ENDPOINT right?", err)}
		}
		next, err = nextPage(address, resp.Header)
		return false, err
	})
	return next, err
}

var nextLink = regexp.MustCompile(`<([^>]*)>\s*;\s*rel="?next"?`)

func nextPage(address string, header http.Header) (string, error) {
	link := nextLink.FindStringSubmatch(strings.Join(header.Values("Link"), ","))
	if link == nil {
		return "", nil
	}
	base, err := url.Parse(address)
	if err != nil {
		return "", final{err}
	}
	next, err := base.Parse(link[1])
	if err != nil || next.Scheme != "https" && next.Scheme != "http" {
		return "", final{errors.New("the listing's next page has an address that is not one")}
	}
	return next.String(), nil
}
