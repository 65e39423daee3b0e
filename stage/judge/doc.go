// Package judge asks a model behind OpenAI's HTTP interface one question at a time: it sees to rate limits, servers
// that fail for a while, and replies that are none.
//
// It exists apart from mtbench because it knows nothing of benchmarks: what goes wrong between two programs is tested
// without one.
//
// The key is in the header of a request and nowhere else: it is taken out of whatever a server says, in errors and in
// replies, redirects are not followed, and it may not stand in the address. What Go cannot enforce: that every text of
// a server's goes through Client.clean.
package judge
