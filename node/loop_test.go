package node

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"syncline/gossip"
	"syncline/store"
)

// A torrent is a stream whose other end sends as fast as it is read, until it is reset.
type torrent struct {
	msg   []byte
	reset atomic.Bool
}

func (s *torrent) Recv() ([]byte, error) {
	if s.reset.Load() {
		return nil, io.ErrUnexpectedEOF
	}
	return s.msg, nil
}

func (s *torrent) Send([]byte) error           { return nil }
func (s *torrent) SetDeadline(time.Time) error { return nil }
func (s *torrent) Close() error                { return s.Reset() }
func (s *torrent) Reset() error                { s.reset.Store(true); return nil }
func (s *torrent) RemoteAddr() string          { return "" }

// TestWhatWaitsForTheLoopIsBounded: the loop is held up, by a slow disk for one. What peers gossip and say in sessions meanwhile does not all
// gather in memory.
func TestWhatWaitsForTheLoopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 96 << 20
		s := openSpaceInMemory(t)
		held, goOn := make(chan struct{}), make(chan struct{})
		go s.loop.read(context.Background(), func(*store.Tx) error { close(held); <-goOn; return nil })
		<-held
		data := make([]byte, 1<<20)
		for i := range 4 {
			go s.loop.streams.accept(gossip.DeviceID{byte(i)}, &torrent{msg: data})
		}
		go func() {
			for range 2 * inputsMax {
				s.loop.offer(Ops{Ops: [][]byte{data}})
			}
		}()
		synctest.Wait()
		waiting := 0
		for n := len(s.loop.inputs); n > 0; n-- {
			waiting += inputSize(<-s.loop.inputs)
		}
		if waiting > most {
			t.Errorf("%d MiB wait for the loop, want at most %d", waiting>>20, most>>20)
		}
		close(goOn)
	})
}
