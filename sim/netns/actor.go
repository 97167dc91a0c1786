//go:build linux

package netns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"syncline/node/api/client"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// An actor is one device of a run and the person who uses it, who does one thing after the other.
type actor struct {
	r       *run
	index   int
	peer    *Peer
	api     *client.Client
	tasks   chan func(ctx context.Context) error
	away    time.Duration // until then the device is down; for the goroutine that hands out operations
	backup  string        // a folder
	tmpfs   string        // where the data lie if the disk is to fill up
	clock   string        // the file that says how far the clock is off; "" for a right one
	off     time.Duration
	process *exec.Cmd // of a device with a wrong clock
	joined  bool      // it is in the space of the others

	diskFull atomic.Bool

	mu      sync.Mutex // guards answers
	answers bool       // the device is meant to answer
}

// newActor makes a device that does not run yet.
func newActor(r *run, i int, binary string) (*actor, error) {
	h, err := r.lab.Host(cmp.Or(r.s.Devices[i].Name, fmt.Sprintf("device%d", i)))
	if err != nil {
		return nil, err
	}
	p, err := NewPeer(h, binary, r.dir)
	if err != nil {
		return nil, err
	}
	a := &actor{r: r, index: i, peer: p, api: p.Client(), tasks: make(chan func(context.Context) error, tasksMax(r.s)+len(r.driver.Looks)),
		backup: filepath.Join(p.Home, "backup"), off: time.Duration(r.s.Devices[i].Skew) * time.Millisecond}
	wrong := a.off != 0
	for _, o := range r.s.Ops {
		if o.Device != i {
			continue
		}
		wrong = wrong || o.Do == scenario.DoClock
		if o.Do == scenario.DoDiskFull && a.tmpfs == "" {
			if err := a.smallDisk(); err != nil {
				return nil, err
			}
		}
	}
	if wrong {
		a.clock = filepath.Join(p.Home, "clock")
		return a, SetClock(a.clock, a.off)
	}
	return a, nil
}

// tasksMax is how many things one device may have to do at once: what one operation asks of it is at most its parts, or a start, or
// half of a copy.
func tasksMax(s *scenario.Scenario) int {
	n := 1
	for _, o := range s.Ops {
		n += len(o.Parts) + 2
	}
	return n
}

func (a *actor) close() error {
	a.api.Close()
	if a.process != nil {
		a.process.Process.Kill()
		a.process.Wait()
	}
	if a.tmpfs != "" {
		return unix.Unmount(a.tmpfs, unix.MNT_DETACH)
	}
	return nil
}

func (a *actor) fail(c oracle.Check, format string, args ...any) {
	a.r.judge(func(w *oracle.Witness) { w.Fail(c, a.index, format, args...) })
}

func (a *actor) tell(e oracle.Event) {
	e.Device = a.index
	a.r.tell(e)
}

func (a *actor) running() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.answers
}

func (a *actor) setRunning(up bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers = up
}

// do arranges something for the device, after all that was arranged before.
func (a *actor) do(task func(ctx context.Context) error) { a.tasks <- task }

// work does what was arranged until there is no more.
func (a *actor) work(ctx context.Context) error {
	for task := range a.tasks {
		if err := task(ctx); err != nil {
			return fmt.Errorf("device %s: %w", a.peer.Name(), err)
		}
	}
	return nil
}

// take arranges an operation whose time has come. Nobody uses a device that is down, and a crash does not wait for what is going on.
func (a *actor) take(ctx context.Context, o *scenario.Op) error {
	if o.At < a.away && o.Do != scenario.DoClock {
		a.r.judge(func(w *oracle.Witness) { w.Sometimes("on a device that is down") })
		return nil
	}
	back := o.At + o.For
	switch o.Do {
	case scenario.DoWrite:
		for _, parts := range transactions(o.Parts) {
			a.do(func(ctx context.Context) error { return a.write(ctx, parts) })
		}
	case scenario.DoRead:
		a.do(func(ctx context.Context) error { _, err := a.read(ctx, o.Path); return err })
	case scenario.DoSync:
		a.do(func(ctx context.Context) error { a.sync(ctx); return nil })
	case scenario.DoClock:
		a.off += time.Duration(o.Amount) * time.Millisecond
		a.tell(oracle.Event{Kind: oracle.EventFault, Text: o.String()})
		a.r.judge(func(w *oracle.Witness) { w.Sometimes(string(o.Do)) })
		return SetClock(a.clock, a.off)
	case scenario.DoCrash:
		if !a.running() {
			return nil
		}
		a.setRunning(false)
		if err := a.kill(); err != nil {
			return err
		}
		a.away = back
		a.tell(oracle.Event{Kind: oracle.EventCrash, Until: back})
		a.do(func(ctx context.Context) error {
			if err := a.upAt(ctx, back, oracle.AfterCrash); err != nil || a.joined {
				return err
			}
			return a.join(ctx, a.admitter())
		})
	case scenario.DoRestart:
		a.away = back
		a.r.judge(func(w *oracle.Witness) { w.Sometimes(string(o.Do)) })
		a.do(func(ctx context.Context) error {
			return errors.Join(a.down(ctx), a.upAt(ctx, back, oracle.AfterClose))
		})
	case scenario.DoBackup:
		a.do(a.save)
	case scenario.DoRestore:
		a.away = back
		a.do(func(ctx context.Context) error { return a.restore(ctx, back) })
	case scenario.DoJoin:
		a.do(func(ctx context.Context) error {
			if err := a.up(ctx, oracle.FirstStart, 0); err != nil {
				return err
			}
			return a.join(ctx, a.admitter())
		})
	case scenario.DoClone:
		copied := make(chan error, 1)
		of := a.r.actors[o.Of]
		of.do(func(ctx context.Context) error {
			err := errors.Join(of.down(ctx), copyFolder(of.peer.Data(), a.peer.Data()))
			if err == nil { // what it has is what the clone has
				a.r.judge(func(w *oracle.Witness) { w.Started(a.index, oracle.AsClone, of.index) })
			}
			copied <- err
			return errors.Join(err, of.up(ctx, oracle.AfterClose, 0))
		})
		a.do(func(ctx context.Context) error {
			if err := <-copied; err != nil {
				return err
			}
			if err := a.up(ctx, oracle.AsClone, of.index, "--new-identity"); err != nil {
				return err
			}
			return a.join(ctx, a.admitter())
		})
	}
	return nil
}

// admitter returns another device, one that runs if there is one.
func (a *actor) admitter() *actor {
	var other *actor
	for _, o := range a.r.actors {
		if o != a && (other == nil || !other.running()) {
			other = o
		}
	}
	return other
}
