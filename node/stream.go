package node

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"syncline/gossip"
)

// streams ties the replica's sessions to the network's streams.
type streams struct {
	loop *loop
	wg   sync.WaitGroup

	mu     sync.Mutex // guards byID, lastIn, closed
	byID   map[SessionID]*stream
	lastIn SessionID
	closed bool
}

// stream is one session's way to the peer.
type stream struct {
	id   SessionID
	send chan [][]byte // holds one; the replica hands out no more before it is told that all is sent
	end  chan struct{} // closed when the replica has no more to say

	mu   sync.Mutex // guards conn, over, broken
	conn gossip.Stream
	over bool
	// broken says that the stream is to be reset, also if there is no conn yet.
	broken bool
}

// inboundBit marks the ids of sessions that peers opened; the replica draws the others.
const inboundBit SessionID = 1 << 63

func (s *streams) add(id SessionID) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	st := &stream{id: id, send: make(chan [][]byte, 1), end: make(chan struct{})}
	s.byID[id] = st
	s.wg.Add(1)
	return st
}

func (s *streams) drop(id SessionID) {
	s.mu.Lock()
	delete(s.byID, id)
	s.mu.Unlock()
	s.wg.Done()
}

func (s *streams) get(id SessionID) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}

// open dials for an outbound session.
func (s *streams) open(o OpenSession) {
	st := s.add(o.ID)
	if st == nil {
		return
	}
	go func() {
		defer s.drop(o.ID)
		ctx, cancel := context.WithTimeout(s.loop.ctx, openTimeMax)
		defer cancel()
		conn, err := s.loop.space.node.cfg.Network.Open(ctx, s.loop.space.id, o.Peer)
		if err != nil {
			s.loop.put(context.Background(), SessionEnd{ID: o.ID, Err: err})
			return
		}
		s.serve(st, conn)
	}()
}

// accept serves a session that a peer opened; it returns when the stream has ended.
func (s *streams) accept(peer gossip.DeviceID, conn gossip.Stream) {
	s.mu.Lock()
	s.lastIn++
	id := inboundBit | s.lastIn
	s.mu.Unlock()
	st := s.add(id)
	if st == nil {
		conn.Reset()
		return
	}
	defer s.drop(id)
	if s.loop.put(context.Background(), SessionIn{ID: id, Peer: peer}) != nil {
		conn.Reset()
		return
	}
	s.serve(st, conn)
}

// serve writes what the replica hands out and feeds it what arrives, until either side ends the stream.
func (s *streams) serve(st *stream, conn gossip.Stream) {
	if !st.attach(conn) {
		return
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.read(st, conn)
	}()
	for {
		select {
		case msgs := <-st.send:
			for _, m := range msgs {
				if err := conn.Send(m); err != nil {
					conn.Reset()
					break
				}
			}
			s.loop.put(context.Background(), SessionReady{ID: st.id})
		case <-st.end:
			// The peer has nothing to say any more that this side waits for.
			conn.Close()
			conn.SetDeadline(time.Now().Add(closeTimeMax))
			<-read
			return
		case <-read:
			conn.Reset()
			return
		}
	}
}

// openTimeMax bounds the opening of a stream to a connected peer: until it ends, that peer's own sessions are told to wait.
const openTimeMax = 5 * time.Second

// closeTimeMax bounds the wait for the peer's end of a stream that this side has ended.
const closeTimeMax = 5 * time.Second

// attach gives the stream its connection. It reports false, and resets the connection, if it was broken off before.
func (st *stream) attach(conn gossip.Stream) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.conn = conn
	if st.broken {
		conn.Reset()
	}
	return !st.broken
}

func (s *streams) read(st *stream, conn gossip.Stream) {
	for {
		msg, err := conn.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			s.loop.put(context.Background(), SessionEnd{ID: st.id, Err: err})
			return
		}
		if s.loop.putMessage(SessionMsg{ID: st.id, Msg: msg}) != nil {
			return
		}
	}
}

// send hands messages to the stream's writer, or breaks the session off if what they say is not on disk.
func (s *streams) send(o Send, syncErr error) {
	st := s.get(o.ID)
	if st == nil {
		return
	}
	if syncErr != nil {
		st.finish(true)
		return
	}
	st.send <- o.Msgs
}

func (s *streams) close(o CloseSession) {
	if st := s.get(o.ID); st != nil {
		st.finish(o.Reset)
	}
}

// finish ends the stream in an orderly way, or breaks it at once, which also unblocks a writer whose peer has stopped reading.
func (st *stream) finish(reset bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if reset {
		st.broken = true
		if st.conn != nil {
			st.conn.Reset()
		}
	}
	if !st.over {
		st.over = true
		close(st.end)
	}
}

// resetAll breaks all streams and lets no new one begin.
func (s *streams) resetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, st := range s.byID {
		st.finish(true)
	}
}
