package data

import (
	"fmt"
	"iter"
	"math"
)

// CountTokens counts each id of the packed stream of docs, end-of-text ids
// included; the result has one count for each id of the vocabulary.
func CountTokens(docs iter.Seq2[Document, error], t Tokenizer) ([]int64, error) {
	enc, err := newEncoder(t)
	if err != nil {
		return nil, err
	}
	counts := make([]int64, t.VocabSize())
	for doc, err := range docs {
		if err != nil {
			return nil, err
		}
		ids, err := enc.encode(doc)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			counts[id]++
		}
	}
	return counts, nil
}

// UnigramPerplexity is the perplexity, on held-out documents, of the model that
// knows nothing but how often each id occurs in the training text, smoothed by
// one (Laplace):
//
//	p(v) = (counts[v] + 1) / (sum(counts) + V)
//	perplexity = exp(-1/N * sum over the N targets x of ln p(x))
//
// The targets are every id of the packed stream but the first. It returns N beside the perplexity. A
// trained model must lie well below; one that does not has learnt nothing from context.
func UnigramPerplexity(counts []int64, docs iter.Seq2[Document, error],
	t Tokenizer) (perplexity float64, targets int64, err error) {
	if len(counts) != t.VocabSize() {
		return 0, 0, fmt.Errorf("%d token counts for a vocabulary of %d", len(counts), t.VocabSize())
	}
	var total float64
	for _, c := range counts {
		total += float64(c)
	}
	logTotal := math.Log(total + float64(len(counts)))
	enc, err := newEncoder(t)
	if err != nil {
		return 0, 0, err
	}
	var sum float64 // of -ln p
	targets = -1    // the stream's first id is no target
	for doc, err := range docs {
		if err != nil {
			return 0, 0, err
		}
		ids, err := enc.encode(doc)
		if err != nil {
			return 0, 0, err
		}
		for _, id := range ids {
			if targets++; targets > 0 {
				sum += logTotal - math.Log(float64(counts[id])+1)
			}
		}
	}
	if targets < 1 {
		return 0, 0, fmt.Errorf("the held-out text has %d tokens; predicting takes at least 2", targets+1)
	}
	return math.Exp(sum / float64(targets)), targets, nil
}
