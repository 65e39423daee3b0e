// Package examples turns examples of instructions and answers into token batches of which only the answers count: the
// data of instruction tuning, handed out with the cursor that package data's Loader has, so that a trainer takes both.
//
// Two things are read, in a JSON array, in JSON Lines or in columns of Parquet files: Alpaca's records (instruction,
// input, output) and conversations (messages, or conversations as ShareGPT has them). An example is its prompt, its
// answer and the tokens around a document; the ids of the prompt alone say where the answer begins, as in train.py of
// stanford_alpaca. Of a conversation every turn of the assistant counts, or what its template marks.
//
// # Windows
//
// Padded, a window is one example, and what follows it counts for nothing. Packed, a window is as many whole examples
// as fit, in order; each is a document of its own, and the model must keep attention inside documents
// (model.MaskDocuments). Either way an example is in one window, is trained on once an epoch, and has the same losses.
//
// # What Go cannot enforce
//
// That the tokenizer is that of the model; that a packed Batch goes to a model that masks documents.
package examples
