package inspect

// Options say what is read of rows.
type Options struct {
	Column    string // the text's; "" = "text"
	Documents int64  // rows to read, rounded up to whole row groups; 0 = all
	First     int    // how many first texts are kept
	Tokenizer interface {
		Encode(text string) ([]uint32, error)
	} // nil: no token statistics
}

// Inspection is what is in a set of files.
type Inspection struct {
	Files     []FileInfo   `json:"files"`
	Rows      int64        `json:"rows"`
	RowGroups int          `json:"row_groups"`
	Bytes     int64        `json:"bytes"`
	Columns   []ColumnInfo `json:"columns"`
	// What is not there or cannot be read, a sentence each.
	Missing []string `json:"missing"`

	// Of the rows that were read:
	RowsRead   int64         `json:"rows_read"`
	Nulls      int64         `json:"nulls"` // without text
	Characters *Distribution `json:"characters,omitempty"`
	TextBytes  int64         `json:"text_bytes"`
	Tokens     *Distribution `json:"tokens,omitempty"` // per document, end-of-text not counted
	Scores     *Distribution `json:"scores,omitempty"`
	Languages  []Share       `json:"languages,omitempty"` // the most frequent first
	First      []string      `json:"first,omitempty"`
}

// FileInfo is what a file says of itself.
type FileInfo struct {
	Path      string `json:"path"`
	Bytes     int64  `json:"bytes"`
	Rows      int64  `json:"rows"`
	RowGroups int    `json:"row_groups"`
	Writer    string `json:"writer"` // as it calls itself, where it does
}

// ColumnInfo is a column over all files.
type ColumnInfo struct {
	Name         string   `json:"name"` // with the groups that it is in
	Type         string   `json:"type"`
	Codecs       []string `json:"codecs"`
	Files        int      `json:"files"`              // that have it
	Compressed   int64    `json:"compressed_bytes"`   // 0 where columns are not stored by themselves
	Uncompressed int64    `json:"uncompressed_bytes"` // likewise of the rows that were read
}

// Share is how often a value occurs.
type Share struct {
	Value string `json:"value"`
	Rows  int64  `json:"rows"`
}
