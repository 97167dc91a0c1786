package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"syncline/node"
	"syncline/node/api/wire"
)

// Config says what a Server serves.
type Config struct {
	Node *node.Node
	// Version is what GET /v1/version answers; default: what the build says of this program.
	Version wire.Version
	// Address is where the API is reached, for GET /v1/status; default: nothing is said of it.
	Address string
	// Shutdown is called once, in its own goroutine, by POST /v1/down. Nil refuses the request.
	Shutdown func()
	// Logger receives failed requests; default: nothing.
	Logger *slog.Logger
	// Heartbeat is the time after which a silent stream sends a line; default 15 s.
	Heartbeat time.Duration
}

// A Server is the HTTP API of one node.
type Server struct {
	cfg     Config
	node    *node.Node
	log     *slog.Logger
	handler http.Handler
	http    *http.Server
	// closing ends when Close begins; streams and long polls end with it.
	closing context.Context
	end     context.CancelFunc
	downOne sync.Once
}

// New returns a server for cfg.Node.
func New(cfg Config) *Server {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Version == (wire.Version{}) {
		cfg.Version = wire.VersionOf("")
	}
	if cfg.Heartbeat <= 0 {
		cfg.Heartbeat = 15 * time.Second
	}
	s := &Server{cfg: cfg, node: cfg.Node, log: cfg.Logger}
	s.closing, s.end = context.WithCancel(context.Background())
	s.handler = s.wrap(s.routes())
	s.http = &http.Server{
		Handler:           s.handler,
		ConnContext:       withCaller,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	return s
}

// ServeHTTP serves the API inside another server. It trusts whoever that server let in.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve accepts connections until Close; it then returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// Close ends streams at once, lets other requests finish until ctx ends, and closes the listener. A client that stops taking its answer is
// given up after a second.
func (s *Server) Close(ctx context.Context) error {
	s.end()
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	return err
}

// streaming returns a context that ends with the request, after d if d is positive, or when the server closes: for handlers
// that wait for something to happen.
func (s *Server) streaming(r *http.Request, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(r.Context())
	stop := context.CancelFunc(func() { cancel(nil) })
	if d > 0 {
		timed, cancelTimer := context.WithTimeout(ctx, d)
		ctx, stop = timed, func() { cancelTimer(); cancel(nil) }
	}
	go func() {
		select {
		case <-s.closing.Done():
			cancel(node.ErrClosed)
		case <-ctx.Done():
		}
	}()
	return ctx, stop
}
