package reduce

import "steplm/gpu"

// bucket is gradients that are summed in one piece.
type bucket struct {
	tensors []gpu.Tensor
	values  []float32 // of all, one after another; the sums once done is closed
	done    chan struct{}
	err     error
}

// Buckets cuts gradients of so many elements, in the order in which they are complete, into those that are summed in
// one piece: the number of gradients of each. A gradient is never cut.
func (o Options) Buckets(elements []int) (counts []int) {
	limit := o.BucketBytes
	if limit == 0 {
		limit = DefaultBucketBytes
	}
	n, bytes := 0, 0
	for _, e := range elements {
		n, bytes = n+1, bytes+e*o.Wire.Bytes()
		if bytes >= limit {
			counts = append(counts, n)
			n, bytes = 0, 0
		}
	}
	if n > 0 {
		counts = append(counts, n)
	}
	return counts
}

// enough reports whether so many elements are enough for a bucket.
func (r *Reducer) enough(elements int) bool {
	return elements*r.options.Wire.Bytes() >= r.options.BucketBytes
}

// beginSum reads gradients, which are complete, and has them summed while the caller goes on.
func (r *Reducer) beginSum(d gpu.Device, tensors []gpu.Tensor) error {
	b := &bucket{tensors: tensors, done: make(chan struct{})}
	total := 0
	for _, t := range tensors {
		total += t.Elements()
	}
	b.values = make([]float32, total)
	at := 0
	for _, t := range tensors {
		if err := gpu.ReadRows(d, t, 0, b.values[at:at+t.Elements()]); err != nil {
			return err
		}
		at += t.Elements()
	}
	if r.jobs == nil {
		r.jobs = make(chan *bucket, 1<<16)
		go r.work(r.jobs)
	}
	r.pending = append(r.pending, b)
	r.jobs <- b
	return nil
}

// work sums one bucket after the other.
func (r *Reducer) work(jobs <-chan *bucket) {
	var failed error
	for b := range jobs {
		if failed == nil {
			failed = r.sum(b.values)
		}
		b.err = failed
		close(b.done)
	}
}

// takeSums puts back the sums that are there, without waiting for others.
func (r *Reducer) takeSums(d gpu.Device) error {
	for len(r.pending) > 0 {
		select {
		case <-r.pending[0].done:
			if err := r.putBack(d); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// awaitSums waits for all sums that were begun and puts them back.
func (r *Reducer) awaitSums(d gpu.Device) error {
	for r != nil && len(r.pending) > 0 {
		<-r.pending[0].done
		if err := r.putBack(d); err != nil {
			r.drain()
			return err
		}
	}
	return nil
}

// drain forgets what was begun, after an error.
func (r *Reducer) drain() {
	for _, b := range r.pending {
		<-b.done
	}
	r.pending = nil
}

// putBack writes the sums of the oldest bucket.
func (r *Reducer) putBack(d gpu.Device) error {
	b := r.pending[0]
	r.pending = r.pending[1:]
	if b.err != nil {
		return b.err
	}
	at := 0
	for _, t := range b.tensors {
		if err := gpu.WriteRows(d, t, 0, b.values[at:at+t.Elements()]); err != nil {
			return err
		}
		at += t.Elements()
	}
	return nil
}

// Values replaces values by their sums over all processes.
func (r *Reducer) Values(values []float32) error {
	if r.Size() == 1 {
		return nil
	}
	return r.sum(values)
}

// sum replaces values by their sums over all processes: each process gets one part of everybody's, adds them in the
// order of ranks, and sends the sum to all. What is sent to others is 2 (N-1)/N of the values, which no method
// undercuts.
func (r *Reducer) sum(values []float32) error {
	n, wire := r.group.Size(), r.options.Wire
	part := Part(len(values), n)
	bytes := part * wire.Bytes()
	send, recv := r.room(n*bytes), r.room(n*bytes)
	defer func() { r.free = append(r.free, send, recv) }()
	for i := range n {
		at := min(i*part, len(values))
		wire.encode(send[i*bytes:], values[at:min(at+part, len(values))])
	}
	if err := r.group.AllToAll(send, recv); err != nil {
		return err
	}
	own := min(r.group.Rank()*part, len(values))
	sums := values[own:min(own+part, len(values))]
	clear(sums)
	for i := range n {
		wire.add(sums, recv[i*bytes:(i+1)*bytes])
	}
	mine := send[:bytes]
	wire.encode(mine, sums)
	if err := r.group.AllGather(mine, recv); err != nil {
		return err
	}
	r.sent += 2 * int64(n-1) * int64(bytes)
	for i := range n {
		at := min(i*part, len(values))
		wire.decode(values[at:min(at+part, len(values))], recv[i*bytes:(i+1)*bytes])
	}
	return nil
}

// Part is how many of so many values each of n processes sums: as many for each, the last ones with nothing in them.
func Part(values, n int) int { return (values + n - 1) / n }

// room is memory for so many bytes, of an earlier bucket where that suffices.
func (r *Reducer) room(bytes int) []byte {
	for i, b := range r.free {
		if cap(b) >= bytes {
			r.free[i] = r.free[len(r.free)-1]
			r.free = r.free[:len(r.free)-1]
			return b[:bytes]
		}
	}
	return aligned(bytes)
}
