package serve

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"steplm/cmd/steplm/internal/speak"
	"steplm/model/engine"
	"steplm/model/generate"
)

// Config is what a Server answers with, and how.
type Config struct {
	Limits
	Name, Path string // of the model: how it is called, and how it was named
	Voice      speak.Voice
	Manner     speak.Manner
	Key        string // ""; none is needed
	Made       time.Time
}

// Server answers for one model.
type Server struct {
	Limits
	name, path string
	voice      speak.Voice
	manner     speak.Manner
	made       time.Time
	context    int
	key        *[sha256.Size]byte // nil: none is needed
	engine     *engine.Engine
	metrics    *metrics
	requests   chan struct{} // has one for each that is answered
	origins    *http.CrossOriginProtection
	at         string
	ending     context.Context // ends when what runs must
	end        context.CancelFunc
}

// New makes a Server of a Generator, which belongs to it until Serve has returned.
func New(g *generate.Generator, c Config) *Server {
	s := &Server{Limits: c.Limits, name: c.Name, path: c.Path, voice: c.Voice, manner: c.Manner, made: c.Made,
		context: min(g.Context, g.Positions), requests: make(chan struct{}, c.MaxRequests),
		origins: http.NewCrossOriginProtection()}
	if c.Key != "" {
		sum := sha256.Sum256([]byte(c.Key))
		s.key = &sum
	}
	var e *engine.Engine
	s.metrics = newMetrics(func() engine.State { return e.State() })
	e = engine.New(g, engine.Config{Waiting: c.MaxQueue, Wait: c.QueueTime, Stepped: s.metrics.stepped})
	s.engine = e
	s.ending, s.end = context.WithCancel(context.Background())
	return s
}

// routes are all that is answered.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	const get, post = http.MethodGet, http.MethodPost
	s.route(mux, post, "/v1/completions", true, s.completions)
	s.route(mux, post, "/v1/chat/completions", true, s.conversations)
	s.route(mux, get, "/v1/models", true, s.models)
	s.route(mux, get, "/v1/models/{model...}", true, s.oneModel)
	s.route(mux, get, "/tokenizer_info", true, s.tokenizerInfo)
	s.route(mux, post, "/tokenize", true, s.tokenize)
	s.route(mux, post, "/detokenize", true, s.detokenize)
	s.route(mux, get, "/health", false, s.health)
	told := promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{DisableCompression: true})
	s.route(mux, get, "/metrics", true, func(w http.ResponseWriter, r *http.Request) error {
		told.ServeHTTP(w, r)
		return nil
	})
	s.route(mux, get, "/{$}", false, s.page)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.metrics.requests.WithLabelValues("", "404").Inc()
		writeError(w, failure(http.StatusNotFound, badRequest, "", "there is nothing at %s", r.URL.Path))
	})
	return mux
}

// ErrCut is requests that did not end in time after the server was told to end.
var ErrCut = errors.New("requests were ended before their answers")

// Serve answers at a listener until the context ends: then it takes nothing more, lets what runs go on for EndTime, and
// ends it. That is no error unless something had to be ended, which is ErrCut. Another error is the device's.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer s.end()
	s.at = l.Addr().String()
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: s.ClientTime, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: log.New(io.Discard, "", 0)} // What a client does wrong is told to it alone.
	served, ran := make(chan error, 1), make(chan error, 1)
	go func() { served <- server.Serve(netutil.LimitListener(l, s.MaxConnections)) }()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go func() { ran <- s.engine.Run(running) }()
	select {
	case err := <-ran: // The device failed; whoever waits is told by the engine.
		return errors.Join(err, s.shut(server, time.Second))
	case err := <-served:
		s.engine.Close()
		s.end()
		return errors.Join(err, <-ran)
	case <-ctx.Done():
	}
	s.engine.Close()
	err := s.shut(server, s.EndTime)
	if err != nil { // Something runs still: its clients get a moment to be told.
		left := len(s.requests)
		s.end()
		stop()
		err = s.cut(server, left)
	}
	if failed := <-ran; failed != nil && !errors.Is(failed, context.Canceled) {
		err = errors.Join(failed, err)
	}
	return err
}

// shut waits for all requests to end.
func (s *Server) shut(server *http.Server, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return server.Shutdown(ctx)
}

// cut ends connections whose requests, so many, did not end.
func (s *Server) cut(server *http.Server, n int) error {
	if err := s.shut(server, time.Second); err != nil {
		server.Close()
	}
	if n == 0 { // What was open had no request.
		return nil
	}
	return fmt.Errorf("%w: %d, after %s", ErrCut, n, s.EndTime)
}
