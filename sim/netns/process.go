//go:build linux

package netns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"syncline/node"
	"syncline/sim/oracle"
)

// SetClock writes how far a clock is off into the file that ClockVariable names.
func SetClock(file string, off time.Duration) error {
	if err := os.WriteFile(file+".new", []byte(off.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// smallDisk lets the data of the device lie on a disk that can be filled.
func (a *actor) smallDisk() error {
	dir := filepath.Dir(a.peer.Data())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("mode=700,size=%d", diskBytes)); err != nil {
		return fmt.Errorf("%w: diskfull: a disk for %s: %w", ErrUndecided, a.peer.Name(), err)
	}
	a.tmpfs = dir
	return nil
}

// fillDisk leaves the device next to no space until end is called.
func (a *actor) fillDisk() (end func() error, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(a.tmpfs, &st); err != nil {
		return nil, err
	}
	ballast := filepath.Join(a.tmpfs, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		return nil, err
	}
	free := int64(st.Bavail) * st.Bsize
	a.diskFull.Store(true)
	a.r.judge(func(w *oracle.Witness) { w.DiskFull(a.index, true) })
	err = errors.Join(unix.Fallocate(int(f.Fd()), 0, 0, max(free-diskBytesLeft, 1)), f.Close())
	return func() error {
		err := os.Remove(ballast)
		a.diskFull.Store(false)
		a.do(func(context.Context) error { // what was asked for while it was full is judged so
			a.r.judge(func(w *oracle.Witness) { w.DiskFull(a.index, false) })
			return nil
		})
		return err
	}, err
}

// inspect looks for a panic in the log of the device, and shows its end to log if a check failed.
func (a *actor) inspect(log func(device string, end []byte)) {
	b, _ := os.ReadFile(a.peer.Log())
	for _, sign := range []string{"panic: ", "fatal error: "} {
		if i := bytes.Index(b, []byte(sign)); i >= 0 {
			a.fail(oracle.NoPanic, "%s", b[i:min(i+1000, len(b))])
		}
	}
	if log != nil && len(a.r.witness.Violations) > 0 {
		log(a.peer.Name(), b[max(0, len(b)-4000):])
	}
}

// upAt starts the device at a time of the scenario.
func (a *actor) upAt(ctx context.Context, at time.Duration, how oracle.Start) error {
	for a.r.now() < at { // it may stand still
		if err := sleep(ctx, max(at-a.r.now(), pagePoll)); err != nil {
			return err
		}
	}
	return a.up(ctx, how, 0)
}

// up starts the device and looks at all that it shows.
func (a *actor) up(ctx context.Context, how oracle.Start, of int, flags ...string) error {
	if err := a.launch(ctx, flags); err != nil {
		return err
	}
	if how != oracle.AsClone {
		a.r.judge(func(w *oracle.Witness) { w.Started(a.index, how, of) })
	}
	a.setRunning(true)
	a.tell(oracle.Event{Kind: oracle.EventStart, Text: starts[how]})
	if how == oracle.FirstStart {
		return nil
	}
	for _, path := range a.r.s.Paths {
		if _, err := a.read(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// starts says how a device came to run.
var starts = map[oracle.Start]string{oracle.FirstStart: "first", oracle.AfterCrash: "after a crash", oracle.AfterClose: "after a close",

	oracle.AfterRestore: "with its backup", oracle.AsClone: "as a clone"}

// launch starts the process and returns when it answers.
func (a *actor) launch(ctx context.Context, flags []string) error {
	if a.clock == "" {
		return a.launchBinary(ctx, flags)
	}
	if len(flags) > 0 {
		return fmt.Errorf("%w: %v with a clock that is wrong", ErrUndecided, flags)
	}
	cmd := a.peer.Host.Command(context.WithoutCancel(ctx), a.r.driver.Clocked)
	cmd.Env, cmd.Stderr = append(a.peer.Environment(), ClockVariable+"="+a.clock), os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	a.process = cmd
	return a.r.await(ctx, answerWithin, "the device answers", func() bool { _, err := a.api.Version(ctx); return err == nil })
}

// launchBinary starts the program, and once more when there is space if the disk was full.
func (a *actor) launchBinary(ctx context.Context, flags []string) error {
	for {
		full := a.diskFull.Load()
		within, cancel := context.WithTimeout(ctx, answerWithin)
		res, err := a.peer.Run(within, append([]string{"up", "-d"}, flags...)...)
		cancel()
		if err != nil || res.Code == 0 {
			return err
		}
		if !full {
			return fmt.Errorf("peer up: exit code %d: %s", res.Code, res.Stderr)
		}
		a.r.judge(func(w *oracle.Witness) { w.Sometimes("start on a full disk") })
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

// kill ends the process without notice.
func (a *actor) kill() error {
	if a.process == nil {
		return a.peer.Kill()
	}
	err := a.process.Process.Kill()
	a.process.Wait()
	a.process = nil
	return err
}

// down ends the process in order.
func (a *actor) down(ctx context.Context) error {
	a.setRunning(false)
	a.tell(oracle.Event{Kind: oracle.EventStop})
	if a.process != nil {
		err := a.process.Process.Signal(syscall.SIGTERM)
		a.process.Wait()
		a.process = nil
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	pid, err := a.peer.PID()
	if err == nil {
		err = a.peer.Signal(syscall.SIGTERM)
	}
	for err == nil && running(pid) {
		err = sleep(ctx, time.Millisecond)
	}
	return err
}

// save copies the data while the device is down for a moment.
func (a *actor) save(ctx context.Context) error {
	if err := errors.Join(a.down(ctx), copyFolder(a.peer.Data(), a.backup)); err != nil {
		return err
	}
	a.r.judge(func(w *oracle.Witness) { w.BackedUp(a.index) })
	return a.up(ctx, oracle.AfterClose, 0)
}

// restore puts the data of the backup in the place of those that are there. Without a backup nothing happens.
func (a *actor) restore(ctx context.Context, back time.Duration) error {
	if _, err := os.Stat(a.backup); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := errors.Join(a.down(ctx), copyFolder(a.backup, a.peer.Data())); err != nil {
		return err
	}
	return a.upAt(ctx, back, oracle.AfterRestore)
}

// copyFolder makes one folder a copy of another.
func copyFolder(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	if out, err := exec.Command("cp", "-a", from+"/.", to).CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w: %s", err, out)
	}
	return nil
}

// join lets another device admit this one, and tries again while the network keeps them apart. If the device is killed meanwhile, it
// joins when it runs again.
func (a *actor) join(ctx context.Context, by *actor) error {
	return a.r.await(ctx, meetWithin, a.peer.Name()+" joins", func() bool {
		if !a.running() {
			return true
		}
		within, cancel := context.WithTimeout(ctx, syncWithin)
		defer cancel()
		inv, err := by.api.Invite(within, 0, true)
		if err == nil {
			_, err = a.api.Join(within, inv.Ticket)
		}
		if a.joined = err == nil || node.ProblemOf(err).Code == node.ErrMember.Code; !a.joined {
			sleep(ctx, time.Second) // each try is an invite, of which there may not be many
		}
		return a.joined
	})
}

// seesAll reports whether the device is connected to all others that run.
func (a *actor) seesAll(ctx context.Context) bool {
	doc, err := a.api.Devices(ctx)
	if err != nil {
		return false
	}
	up := 0
	for _, d := range doc.Devices {
		if d.Path != "" {
			up++
		}
	}
	for _, o := range a.r.actors {
		if o != a && o.running() {
			up--
		}
	}
	return up == 0
}
