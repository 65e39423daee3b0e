package parquet

import (
	"path/filepath"
	"strings"
	"testing"

	"steplm/data/datatest"
)

// Rows with lists and groups in them are the JSON that pyarrow's rows have.
func TestObjects(t *testing.T) {
	var got []string
	for text, err := range Objects(filepath.Join("testdata", "nested.parquet")) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	want := []string{
		`{"id":"a","question":"Why?","choices":{"text":["x","y z"],"label":["A","B"]},"answerKey":"B","label":1,` +
			`"nested":[["p"],[],["q","r"]],"steps":[{"n":1,"s":"u"},{"n":2,"s":null}],"yes":true,"x":0.5}`,
		`{"id":"b","question":null,"choices":{"text":[],"label":null},"answerKey":"","label":-2,"nested":[],` +
			`"steps":null,"yes":null,"x":null}`,
		`{"id":"c","question":"é\"\n","choices":null,"answerKey":"C","label":3,"nested":[[null,"s"]],"steps":[],` +
			`"yes":false,"x":-1e+30}`,
	}
	want = append(want, want...) // in a second row group
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A file by other writers is read or refused, never with a panic.
func TestObjectsOfOthers(t *testing.T) {
	for _, folder := range []string{"parquet/good", "parquet/bad"} {
		files, err := filepath.Glob(filepath.Join(datatest.Path(t, folder), "*.parquet"))
		if err != nil || len(files) == 0 {
			t.Fatal(err)
		}
		for _, file := range files {
			for _, err := range Objects(file) {
				if err != nil && !strings.Contains(err.Error(), filepath.Base(file)) {
					t.Errorf("%s: %v", file, err)
				}
			}
		}
	}
}
