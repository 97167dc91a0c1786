package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/lmittmann/tint"

	"syncline/node"
)

// logBytesMax bounds the log file; when it is reached the file becomes peer.log.1, in place of the one before.
const logBytesMax = 10 << 20

func logName(inst instance) string { return filepath.Join(inst.state, "peer.log") }

// logLevel is what -v, PEER_LOG or the configuration file ask for.
func (a *app) logLevel() slog.Level {
	if a.verbose {
		return slog.LevelDebug
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(orElse(os.Getenv("PEER_LOG"), strings.Join(a.config["log"], ""))))); err != nil {
		return slog.LevelInfo
	}
	return level
}

// terminalLogger logs to standard error: in colour for people, as JSON for a service manager.
func terminalLogger(tty, color bool, level slog.Level) *slog.Logger {
	if tty {
		return slog.New(tint.NewTextHandler(os.Stderr, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !color}))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

// A fileLog logs JSON to a file of bounded size.
type fileLog struct {
	*slog.Logger
	name string

	mu   sync.Mutex // guards file and size
	file *os.File
	size int64
}

func openLog(name string, level slog.Level) (*fileLog, error) {
	l := &fileLog{name: name}
	if err := l.open(); err != nil {
		return nil, node.ErrStore.Because(err)
	}
	l.Logger = slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: level}))
	return l, nil
}

func (l *fileLog) open() error {
	f, err := os.OpenFile(l.name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Write appends one record.
func (l *fileLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+int64(len(b)) > logBytesMax && l.size > 0 {
		l.rotate()
	}
	n, err := l.file.Write(b)
	l.size += int64(n)
	return n, err
}

// rotate goes on with the old file if a new one cannot be made.
func (l *fileLog) rotate() {
	if os.Rename(l.name, l.name+".1") != nil {
		return
	}
	old := l.file
	if l.open() != nil {
		l.file = old
		return
	}
	old.Close()
}

func (l *fileLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file.Close()
}
