package bubble

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/metrics"
)

// hangMax is how long, in real time, a bubble may make no progress in virtual time. A goroutine that waits for a mutex does not count
// as blocked in a bubble: if the holder waits for time to pass, the bubble hangs.
const hangMax = 60 * time.Second

// A pulse counts that virtual time goes on.
type pulse struct{ atomic.Int64 }

// bubble runs f in a bubble, in which time is virtual and passes when everything waits. It returns what f panicked with, that all of it
// is blocked for ever, that f left goroutines behind, or, after patience without a beat of the pulse, where everything hangs; what
// hangs stays behind.
//
// It runs outside of go test, too: the testing.T is a zero one, which serves as long as f does not use it. That is not documented;
// TestInAPlainProgram sees that it goes on to work.
func bubble(p *pulse, patience time.Duration, f func()) error {
	meters()
	done := make(chan error, 1)
	go func() {
		var broken error
		defer func() {
			if r := recover(); r != nil {
				broken = errors.Join(broken, fmt.Errorf("the bubble broke: %v; all goroutines:\n%s", r, stacks()))
			}
			done <- broken
		}()
		synctest.Test(&testing.T{}, func(*testing.T) {
			defer func() { // a zero T cannot cope with a panic
				if r := recover(); r != nil {
					broken = fmt.Errorf("panic in the bubble: %v\n%s", r, debug.Stack())
				}
			}()
			f()
		})
	}()
	return watch(p, patience, done)
}

// meters starts the one goroutine that libp2p keeps for the whole process, which adds up the bytes that were counted: started in a
// bubble it would keep that from ending.
var meters = sync.OnceFunc(func() { metrics.NewBandwidthCounter().LogSentMessage(1) })

// watch waits for the bubble, as long as it makes progress.
func watch(p *pulse, patience time.Duration, done <-chan error) error {
	tick := time.NewTicker(min(time.Second, patience))
	defer tick.Stop()
	last, since := p.Load(), time.Now()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
		}
		if now := p.Load(); now != last {
			last, since = now, time.Now()
		} else if time.Since(since) > patience {
			return fmt.Errorf("no virtual time has passed for %v; all goroutines:\n%s", patience, stacks())
		}
	}
}

// stacks returns the stacks of all goroutines.
func stacks() []byte {
	b := make([]byte, 8<<20)
	return b[:runtime.Stack(b, true)]
}
