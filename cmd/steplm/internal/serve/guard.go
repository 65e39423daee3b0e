package serve

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// handler answers a request, or returns the error to answer with.
type handler func(http.ResponseWriter, *http.Request) error

// route has a path answered: by one method, to those with the key if secret, counted and limited.
func (s *Server) route(mux *http.ServeMux, method, path string, secret bool, answer handler) {
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		began, seen := time.Now(), &watched{ResponseWriter: w}
		defer func() {
			s.metrics.requests.WithLabelValues(path, strconv.Itoa(seen.code())).Inc()
			s.metrics.seconds.WithLabelValues(path).Observe(time.Since(began).Seconds())
		}()
		if err := s.admit(seen, r, method, secret); err != nil {
			writeError(seen, err)
			return
		}
		if method == http.MethodPost {
			select {
			case s.requests <- struct{}{}:
				defer func() { <-s.requests }()
			default:
				writeError(seen, failure(http.StatusTooManyRequests, tooMuch, "too_many_requests", "%d requests are "+
					"being answered, which is the most: try again later", cap(s.requests)))
				return
			}
		}
		if err := answer(seen, r); err != nil {
			s.lastWords(seen)
			writeError(seen, err)
		}
	})
}

// lastWords gives a client that did not read so far a moment to take its error.
func (s *Server) lastWords(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.ClientTime)) // If it cannot, the write says so.
}

// watched knows which status was answered.
type watched struct {
	http.ResponseWriter
	status int
}

func (w *watched) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController through.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *watched) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// admit refuses a request that is not to be answered at all.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, method string, secret bool) error {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if s.key == nil && !s.here(r.Host) {
		return failure(http.StatusForbidden, badRequest, "", "the server is not %q: it is at http://%s", r.Host, s.at)
	}
	if err := s.origins.Check(r); err != nil {
		return failure(http.StatusForbidden, badRequest, "", "the request comes from a page of another origin")
	}
	if secret && !s.knows(r.Header.Get("Authorization")) {
		h.Set("WWW-Authenticate", "Bearer")
		return failure(http.StatusUnauthorized, badKey, "invalid_api_key", "the key is missing or wrong: send it as "+
			"Authorization: Bearer KEY")
	}
	if r.Method != method && !(method == http.MethodGet && r.Method == http.MethodHead) {
		h.Set("Allow", method)
		return failure(http.StatusMethodNotAllowed, badRequest, "", "%s is answered to %s alone", r.URL.Path, method)
	}
	return nil
}

// here reports whether a name is this machine's own: a page from elsewhere can make a name of its own lead here.
func (s *Server) here(host string) bool {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), "80"
	}
	if _, own, _ := net.SplitHostPort(s.at); port != own { // A listener's address has a port.
		return false
	}
	ip := net.ParseIP(name)
	return strings.EqualFold(name, "localhost") || ip != nil && ip.IsLoopback()
}

// knows compares a header with the key, in a time that says nothing of either.
func (s *Server) knows(header string) bool {
	if s.key == nil {
		return true
	}
	scheme, given, _ := strings.Cut(header, " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(given)))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(sum[:], s.key[:]) == 1
}
