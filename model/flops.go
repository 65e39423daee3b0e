package model

// FLOPs is the floating-point operations of one micro-batch, a multiply-add
// counting 2. Only products are counted: those of matrices, and attention's.
// Work proportional to the number of values (norms, rotation, SwiGLU,
// softmax, loss, residual additions, the optimizer) is left out.
type FLOPs struct {
	Forward  float64 // Forward and the head's logits, once
	Backward float64 // the rest of Backward
	// Parts of both:
	WeightGradients float64 // dW of blocks' linears
	LoRA            float64 // both ways, their own gradients too
	Attention       float64
	Head            float64 // logits and both gradients
	Recomputation   float64 // what is computed a second time
}

// Total is forward and backward.
func (f FLOPs) Total() float64 { return f.Forward + f.Backward }

// FLOPs counts what Forward and Backward compute. Per row:
//
//   - a linear: 2 out in forward; backward as much for the input's gradient,
//     and again for the weight's if it trains;
//   - its LoRA: 2 R (in + out) forward, twice that backward;
//   - the head as a linear of V x C.
//
// Attention has B H T(T+1)/2 causal pairs of query and key, fewer under a sliding window; inside documents (Size.Mask)
// that is the most that there can be, where every window is of one document, and FLOPsOf counts those of a batch. A
// pair costs 4 D
// forward (score and value), and 14 D backward: 6 D for the query's gradient
// (score again, the probability's gradient, dq) and 8 D for the key's and
// value's (both again, dk, dv).
//
// Backward ends below the lowest block that has something to train, or nothing
// at all for inference. With recomputation it includes a second forward of every
// block that it enters but the last, without the products that give the block's
// output.
func (l Layout) FLOPs(s Size) FLOPs { return l.FLOPsOf(s, float64(l.Pairs(s, nil))) }

// FLOPsOf is FLOPs where attention has so many pairs in each head, see Config.Pairs; of several micro-batches it may
// be their mean.
func (l Layout) FLOPsOf(s Size, pairs float64) FLOPs {
	rows := float64(s.Rows())
	pair := float64(l.HeadDim()*l.Heads) * pairs
	lowest := l.lowestTrainable()
	var f FLOPs
	for i, b := range l.Blocks {
		var linears, lora float64
		for _, shape := range l.LinearShapes() {
			linears += 2 * rows * float64(shape.Out) * float64(shape.In)
			if l.wraps(b, shape.Name) {
				lora += 2 * rows * float64(l.LoRA.Rank) * float64(shape.Out+shape.In)
			}
		}
		f.Forward += linears + lora + 4*pair
		f.LoRA += lora
		f.Attention += 4 * pair
		if l.Inference || i < lowest {
			continue
		}
		f.Backward += linears + 2*lora + 14*pair
		f.LoRA += 2 * lora
		f.Attention += 14 * pair
		if s.Recompute && i < len(l.Blocks)-1 {
			again := linears + lora + 4*pair - l.outputFLOPs(b, rows)
			f.Backward += again
			f.Recomputation += again
		}
		if !b.Frozen {
			f.Backward += linears
			f.WeightGradients += linears
		}
	}
	head := 2 * rows * float64(l.Vocab) * float64(l.Hidden)
	f.Forward += head
	f.Head = head
	if !l.Inference {
		f.Head += head
		if l.TrainHead && !l.Tied || l.TrainEmbedding && l.Tied {
			f.Head += head
		}
	}
	f.Backward += f.Head - head
	return f
}

// Pairs is how many pairs of query and key a head's attention has in a micro-batch: of each query its key and those
// before it, at most Window in all, in its window of the batch or, inside documents, from where its document begins.
// begins (B*T) is a batch's, see data.Batch; nil: every window is of one document. The kernels skip all other pairs but
// for the rest of a block of rows, which is not counted, as it is not counted without documents.
func (c Config) Pairs(s Size, begins []uint32) int64 {
	sum := int64(0)
	for row := range s.Rows() {
		keys := row%s.SeqLen + 1
		if begins != nil && s.masked() {
			keys -= int(begins[row])
		}
		if c.Window > 0 {
			keys = min(keys, c.Window)
		}
		sum += int64(keys)
	}
	return sum
}

// outputFLOPs is what recomputation leaves out: the last linear, and of its LoRA B.
func (l Layout) outputFLOPs(b BlockLayout, rows float64) float64 {
	shapes := l.LinearShapes()
	last := shapes[len(shapes)-1]
	n := 2 * rows * float64(last.Out) * float64(last.In)
	if l.wraps(b, last.Name) {
		n += 2 * rows * float64(l.LoRA.Rank) * float64(last.Out)
	}
	return n
}
