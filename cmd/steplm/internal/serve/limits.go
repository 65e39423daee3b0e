package serve

import (
	"fmt"
	"time"
)

// Limits bound what clients may ask for and how long they may take. All are flags.
type Limits struct {
	MaxTokens      int           `placeholder:"N" range:"0..1e9" help:"Tokens added to one text, at most. Default: as the context holds."`
	MaxBody        int64         `default:"8000000" placeholder:"BYTES" range:"1..1e12" help:"Bytes of a request's body. Default: ${default}."`
	MaxRequests    int           `default:"256" placeholder:"N" range:"1..1e6" help:"Requests that are answered at once; of more each is told to come later. Default: ${default}."`
	MaxSequences   int           `default:"256" placeholder:"N" range:"1..1e6" help:"Texts that one request asks for: its prompts times n. Default: ${default}."`
	MaxRequestSize int           `name:"max-request-tokens" default:"1000000" placeholder:"N" range:"1..1e12" help:"Tokens of one request, those of its prompts and those that may be added. Default: ${default}."`
	MaxQueue       int           `default:"1024" placeholder:"N" range:"1..1e6" help:"Texts that wait for a slot; of more each is told to come later. Default: ${default}."`
	MaxConnections int           `default:"1024" placeholder:"N" range:"1..1e6" help:"Connections at once; more wait. Default: ${default}."`
	QueueTime      time.Duration `default:"60s" placeholder:"TIME" help:"How long a text waits for a slot at most, such as 30s. Default: ${default}."`
	RequestTime    time.Duration `default:"10m" placeholder:"TIME" help:"How long a request takes at most, its waiting included. Default: ${default}."`
	ClientTime     time.Duration `default:"30s" placeholder:"TIME" help:"How long a client may take to send its request, and to take in each piece of its answer. Default: ${default}."`
	EndTime        time.Duration `default:"30s" placeholder:"TIME" help:"How long what runs may go on after Ctrl-C before it is ended. Default: ${default}."`
}

// check refuses times that are none.
func (l Limits) check() error {
	for name, d := range map[string]time.Duration{"queue-time": l.QueueTime, "request-time": l.RequestTime,
		"client-time": l.ClientTime} {
		if d <= 0 {
			return fmt.Errorf("--%s %s: it must be above 0", name, d)
		}
	}
	if l.EndTime < 0 {
		return fmt.Errorf("--end-time %s: it must be 0 or more", l.EndTime)
	}
	if l.MaxSequences > l.MaxQueue {
		return fmt.Errorf("--max-sequences %d: a request of so many could never wait, --max-queue is %d",
			l.MaxSequences, l.MaxQueue)
	}
	return nil
}
