package ref

import "math"

// CrossEntropyForward sets losses[at+i] to log(sum(exp(logits[i]))) minus the
// logit of targets[at+i]; 0 where the target is v or more.
func CrossEntropyForward[F Float](logits, losses []F, targets []uint32, at, rows, v int) {
	for i := range rows {
		x := logits[i*v:][:v]
		losses[at+i] = 0
		if target := int(targets[at+i]); target < v {
			losses[at+i] = F(logSumExp(x) - float64(x[target]))
		}
	}
}

// CrossEntropy is CrossEntropyForward, and sets logits to
// (softmax - onehot(target)) * scale; 0 where the target is v or more.
func CrossEntropy[F Float](logits, losses []F, targets []uint32, at, rows, v int, scale float32) {
	CrossEntropyForward(logits, losses, targets, at, rows, v)
	for i := range rows {
		x, target := logits[i*v:][:v], int(targets[at+i])
		lse := logSumExp(x)
		for j := range x {
			y := math.Exp(float64(x[j]) - lse)
			if j == target {
				y--
			}
			x[j] = F(y * float64(scale))
		}
		if target >= v {
			clear(x)
		}
	}
}

func logSumExp[F Float](x []F) float64 {
	most, sum := math.Inf(-1), 0.0
	for _, v := range x {
		most = max(most, float64(v))
	}
	for _, v := range x {
		sum += math.Exp(float64(v) - most)
	}
	return most + math.Log(sum)
}
