package p2p

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	multistream "github.com/multiformats/go-multistream"

	"syncline/gossip"
)

// The protocols that this package speaks beside libp2p's identify and gossipsub.
const (
	helloProtocol   protocol.ID = "/syncline/hello/1"
	sessionProtocol protocol.ID = "/syncline/sync/1"
	joinProtocol    protocol.ID = "/syncline/join/1"
)

// readChunk is how much memory a message length may claim before its bytes have arrived.
const readChunk = 64 << 10

// A stream carries messages, each preceded by its length as a uvarint, over a libp2p stream. It implements gossip.Stream.
type stream struct {
	raw        network.Stream
	reader     *bufio.Reader
	receiveMax int
	sendMax    int
}

var _ gossip.Stream = (*stream)(nil)

func newStream(raw network.Stream, sendMax, receiveMax int) *stream {
	return &stream{raw: raw, reader: bufio.NewReader(raw), sendMax: sendMax, receiveMax: receiveMax}
}

func (s *stream) Send(msg []byte) error {
	if len(msg) > s.sendMax {
		return fmt.Errorf("send %d bytes, at most %d: %w", len(msg), s.sendMax, ErrTooLarge)
	}
	b := make([]byte, 0, binary.MaxVarintLen32+len(msg))
	b = binary.AppendUvarint(b, uint64(len(msg)))
	_, err := s.raw.Write(append(b, msg...))
	return err
}

func (s *stream) Recv() ([]byte, error) {
	size, err := binary.ReadUvarint(s.reader)
	if err != nil {
		return nil, err
	}
	if size > uint64(s.receiveMax) {
		_ = s.Reset()
		return nil, fmt.Errorf("receive %d bytes, at most %d: %w", size, s.receiveMax, ErrTooLarge)
	}
	msg := make([]byte, 0, min(size, readChunk))
	for len(msg) < int(size) {
		start, end := len(msg), min(int(size), len(msg)+readChunk)
		msg = append(msg, make([]byte, end-start)...)
		if _, err := io.ReadFull(s.reader, msg[start:end]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return msg, nil
}

func (s *stream) SetDeadline(t time.Time) error { return s.raw.SetDeadline(t) }
func (s *stream) Close() error                  { return s.raw.Close() }
func (s *stream) Reset() error                  { return s.raw.Reset() }
func (s *stream) RemoteAddr() string            { return s.raw.Conn().RemoteMultiaddr().String() }

// A boundedStream is broken when its deadline passes, even if nobody reads or writes: it is how a join stream ends whose
// handler waits for a person who has left.
type boundedStream struct {
	*stream
	asked func()     // called when the handler sets a deadline
	mu    sync.Mutex // guards timer
	timer *time.Timer
}

func newBoundedStream(s *stream, life time.Duration, asked func()) *boundedStream {
	return &boundedStream{stream: s, asked: asked, timer: time.AfterFunc(life, func() { _ = s.Reset() })}
}

// SetDeadline extends or shortens the life of the stream; the zero time lifts the bound.
func (b *boundedStream) SetDeadline(t time.Time) error {
	b.asked()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer.Stop()
	if !t.IsZero() {
		b.timer = time.AfterFunc(time.Until(t), func() { _ = b.stream.Reset() })
	}
	return b.stream.SetDeadline(t)
}

func (b *boundedStream) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer.Stop()
}

// openStream opens a stream on exactly this connection, without asking first whether the other end speaks the protocol: the
// name travels with the first bytes, which saves a round trip. If it does not, the first read fails.
func openStream(ctx context.Context, c network.Conn, p protocol.ID) (network.Stream, error) {
	s, err := c.NewStream(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.SetProtocol(p); err != nil {
		_ = s.Reset()
		return nil, err
	}
	return &lazyStream{Stream: s, lazy: multistream.NewMSSelect(s, p)}, nil
}

// A lazyStream negotiates its protocol with the first read or write.
type lazyStream struct {
	network.Stream
	lazy multistream.LazyConn
}

func (s *lazyStream) Read(b []byte) (int, error)  { return s.lazy.Read(b) }
func (s *lazyStream) Write(b []byte) (int, error) { return s.lazy.Write(b) }

// Close bounds the wait for the other end's half of the negotiation, which the lazy connection may still expect.
func (s *lazyStream) Close() error {
	_ = s.SetReadDeadline(time.Now().Add(openTimeout))
	return s.lazy.Close()
}

// CloseWrite sends the negotiation first, so that the other end learns what was meant.
func (s *lazyStream) CloseWrite() error {
	_ = s.lazy.Flush()
	return s.Stream.CloseWrite()
}
