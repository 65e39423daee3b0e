package harness

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"steplm/model/likelihood"
	"steplm/stage/eval"
	"steplm/stage/harness/internal/python"
)

// metric is one of a task's.
type metric struct {
	name   string
	higher bool // is better
	// of is a document's value.
	of func(d Document, answers []likelihood.Answer) any
	// all is what the values of all documents come to, and its standard error; NaN: the harness has none.
	all func(values []any, resamples int) (value, stderr float64)
}

// output is a kind of question.
type output struct {
	kind    string // the harness's output_type
	metrics []metric
}

// Kinds of questions.
var (
	choicesByLength = output{"multiple_choice", []metric{accuracy, accuracyByLength}}
	choicesAlone    = output{"multiple_choice", []metric{accuracy}}
	lastWords       = output{"loglikelihood", []metric{perplexity, greedy}}
	pages           = output{"loglikelihood_rolling", []metric{
		{
			"word_perplexity",
			false,
			perWord,
			func(v []any, _ int) (float64, float64) { return math.Exp(-rate(v)), math.NaN() },
		},
		{
			"byte_perplexity",
			false,
			perByte,
			func(v []any, _ int) (float64, float64) { return math.Exp(-rate(v)), math.NaN() },
		},
		{
			"bits_per_byte",
			false,
			perByte,
			func(v []any, _ int) (float64, float64) { return -rate(v) / math.Ln2, math.NaN() },
		},
	}}
)

// Accuracy is the name of the metric that every task of choices has.
const Accuracy = "acc"

// accuracy is whether the likeliest choice is right.
var accuracy = metric{Accuracy, true, func(d Document, answers []likelihood.Answer) any {
	return right(d, answers, func(int) float64 { return 1 })
}, mean}

// accuracyByLength is whether the choice that is likeliest by its characters is right.
var accuracyByLength = metric{"acc_norm", true, func(d Document, answers []likelihood.Answer) any {
	return right(d, answers, func(i int) float64 { return float64(utf8.RuneCountInString(d.Choices[i])) })
}, mean}

// right is 1 if the gold choice has the largest likelihood by length, the first of equals.
func right(d Document, answers []likelihood.Answer, length func(i int) float64) float {
	best := 0
	for i := range answers {
		if answers[i].LogLikelihood/length(i) > answers[best].LogLikelihood/length(best) {
			best = i
		}
	}
	if best == d.Gold {
		return 1
	}
	return 0
}

// greedy is whether the last word is the likeliest one.
var greedy = metric{Accuracy, true, func(_ Document, answers []likelihood.Answer) any {
	if answers[0].Greedy {
		return 1
	}
	return 0
}, mean}

// perplexity is that of last words, per word and not per token.
var perplexity = metric{"perplexity", false, func(_ Document, answers []likelihood.Answer) any {
	return float(answers[0].LogLikelihood)
}, func(values []any, resamples int) (float64, float64) {
	x := numbers(values)
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	if len(x) < 2 || resamples < 1 {
		return math.Exp(-sum / float64(len(x))), math.NaN()
	}
	return math.Exp(-sum / float64(len(x))), bootstrap(x, resamples)
}}

// weighted is a page's likelihood and what it is divided by.
type weighted [2]float

func perWord(d Document, answers []likelihood.Answer) any {
	return weighted{float(answers[0].LogLikelihood), float(eval.CountWords(d.Text))}
}

func perByte(d Document, answers []likelihood.Answer) any {
	return weighted{float(answers[0].LogLikelihood), float(len(d.Text))}
}

// rate is the sum of likelihoods by that of weights.
func rate(values []any) float64 {
	var sum, weight float64
	for _, v := range values {
		w := v.(weighted)
		sum, weight = sum+float64(w[0]), weight+float64(w[1])
	}
	return sum / weight
}

// numbers are values as floats.
func numbers(values []any) []float64 {
	list := make([]float64, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case float:
			list[i] = float64(v)
		case int:
			list[i] = float64(v)
		}
	}
	return list
}

// mean has the standard error s / sqrt(n), s with n-1.
func mean(values []any, _ int) (value, stderr float64) {
	x := numbers(values)
	for _, v := range x {
		value += v
	}
	value /= float64(len(x))
	if len(x) < 2 {
		return value, math.NaN()
	}
	return value, deviation(x) / math.Sqrt(float64(len(x)))
}

// deviation is the standard deviation, with n-1.
func deviation(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	mean, squares := sum/float64(len(x)), 0.0
	for _, v := range x {
		squares += (v - mean) * (v - mean)
	}
	return math.Sqrt(squares / float64(len(x)-1))
}

// bootstrap is the deviation of a perplexity over resamples of likelihoods, with the harness's generators: one for each
// chunk of up to 1,000 resamples, seeded with the chunk's number. What is no whole chunk is left out.
func bootstrap(x []float64, resamples int) float64 {
	chunk := min(1000, resamples)
	chunks := resamples / chunk
	all := make([]float64, chunks*chunk)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(chunks, runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < chunks; i = int(next.Add(1)) - 1 {
				r := python.NewRandom(uint64(i))
				for j := range chunk {
					sum := 0.0
					for range x {
						sum += x[int(r.Float()*float64(len(x)))]
					}
					all[i*chunk+j] = math.Exp(-sum / float64(len(x)))
				}
			}
		})
	}
	workers.Wait()
	return deviation(all)
}
