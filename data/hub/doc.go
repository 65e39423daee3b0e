// Package hub fetches datasets' files from the Hugging Face hub into the cache
// that Hugging Face's own tools use, so that what either has fetched the other
// finds. Its layout, below Client.Cache:
//
//	datasets--OWNER--NAME/blobs/HASH             the contents, each once
//	datasets--OWNER--NAME/blobs/HASH.incomplete  what has arrived of one so far
//	datasets--OWNER--NAME/refs/REVISION          the commit that a branch or tag was at
//	datasets--OWNER--NAME/snapshots/COMMIT/PATH  links to blobs
//	.locks/datasets--OWNER--NAME/HASH.lock       who fetches a blob
//
// A blob has its name only once its length and hash are what the hub lists.
package hub
