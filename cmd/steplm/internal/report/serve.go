package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server shows a report while its runs go on, to this machine alone. Its folder has what is shown.
type Server struct {
	Reader *Reader
	Folder string
	// Every is how often the runs' files are looked at; 0: every second.
	Every time.Duration

	mu      sync.Mutex
	html    []byte
	version int
	changed chan struct{} // closed when there is a new version
}

// restFor is how many times as long as the report took it is not made again: a tenth of a core at most.
const restFor = 9

// Listen takes a port of the loopback interface; 0: any that is free.
func Listen(port int) (net.Listener, error) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, fmt.Errorf("port %d of this machine cannot be had: %w", port, err)
	}
	return l, nil
}

// Serve answers until the context ends, which is no error. The report is written before the first answer and whenever a
// run's files change.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.changed = make(chan struct{})
	stamp := s.Reader.Stamp()
	if err := s.renew(); err != nil {
		l.Close()
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /events", s.events)
	server := &http.Server{Handler: local(l.Addr(), mux), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	every := s.Every
	if every == 0 {
		every = time.Second
	}
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	rest := time.Time{} // Until then nothing is read, so that training has the machine.
	for {
		select {
		case <-ctx.Done():
			// Streams end with the context; what else is being answered gets a moment.
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			err := server.Shutdown(end)
			if <-served; errors.Is(err, context.DeadlineExceeded) {
				err = server.Close()
			}
			return err
		case err := <-served:
			return err
		case began := <-ticks.C:
			if began.Before(rest) {
				continue
			}
			now := s.Reader.Stamp()
			if now == stamp {
				continue
			}
			stamp = now
			if err := s.renew(); err != nil {
				return errors.Join(err, server.Close())
			}
			rest = time.Now().Add(restFor * time.Since(began))
		}
	}
}

// renew reads the runs and writes the report.
func (s *Server) renew() error {
	r, err := s.Reader.Read()
	if err != nil {
		return err
	}
	var page bytes.Buffer
	if err := r.writeHTML(&page, s.Folder); err != nil {
		return err
	}
	r.live = false // The files ask no server for anything.
	if err := r.Write(s.Folder); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.html, s.version = page.Bytes(), s.version+1
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

func (s *Server) state() (html []byte, version int, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.html, s.version, s.changed
}

func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	html, _, _ := s.state()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy(true)+"; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	w.Write(html)
}

// events tells a page of every new version, as server-sent events. A page that was away says which version it has.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	rc := http.NewResponseController(w)
	_, version, changed := s.state()
	if last := r.Header.Get("Last-Event-ID"); last != "" && last != s.id(version) {
		s.tell(w, version)
	} else {
		fmt.Fprintf(w, "retry: 1000\nid: %s\nevent: hello\ndata: %d\n\n", s.id(version), version)
	}
	for rc.Flush() == nil {
		select {
		case <-r.Context().Done():
			return
		case <-changed:
			_, version, changed = s.state()
			s.tell(w, version)
		case <-time.After(15 * time.Second): // So that a connection that is gone is noticed.
			fmt.Fprint(w, ": still here\n\n")
		}
	}
}

// id names a version of this server: one that is started anew has others.
func (s *Server) id(version int) string { return fmt.Sprintf("%p-%d", s, version) }

func (s *Server) tell(w http.ResponseWriter, version int) {
	fmt.Fprintf(w, "retry: 1000\nid: %s\nevent: changed\ndata: %d\n\n", s.id(version), version)
}

// local refuses requests that name another host than the one that is listened at: a page from elsewhere whose name was
// made to lead here.
func local(at net.Addr, next http.Handler) http.Handler {
	_, port, _ := net.SplitHostPort(at.String()) // A listener's address has a port.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "127.0.0.1:"+port && r.Host != "localhost:"+port {
			http.Error(w, "the report is at http://"+at.String()+"/", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
