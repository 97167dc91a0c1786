package p2p

import (
	"context"
	"log/slog"
	"os"
	"sync"

	"github.com/libp2p/go-libp2p/gologshim"
)

// quietOnce guards settings that libp2p keeps for the whole process: the first Network decides.
var quietOnce sync.Once

// quieten sends what the libraries log to l at debug level: a failed dial or a missing IPv6 socket is normal life for a
// device that moves, and an error that matters is returned to us as well. Whoever sets GOLOG_LOG_LEVEL gets libp2p's own
// logging instead.
func quieten(l *slog.Logger) {
	quietOnce.Do(func() {
		if os.Getenv("GOLOG_LOG_LEVEL") == "" {
			gologshim.SetDefaultHandler(demoted{l.Handler()})
		}
		// quic-go prints a warning about socket buffers, which matter only for transfers of gigabits per second.
		_ = os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	})
}

// demoted passes on warnings and errors as debug records, and drops the rest.
type demoted struct{ next slog.Handler }

func (d demoted) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && d.next.Enabled(ctx, slog.LevelDebug)
}

func (d demoted) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return d.next.Handle(ctx, r)
}

func (d demoted) WithAttrs(attrs []slog.Attr) slog.Handler { return demoted{d.next.WithAttrs(attrs)} }
func (d demoted) WithGroup(name string) slog.Handler       { return demoted{d.next.WithGroup(name)} }
