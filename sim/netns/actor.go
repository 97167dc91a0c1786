//go:build linux

package netns

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
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

// transactions divides a write into what the local API takes at once: several new values and deletes, or one thing of another kind.
func transactions(parts []scenario.Part) [][]scenario.Part {
	if !slices.ContainsFunc(parts, func(p scenario.Part) bool { return p.Verb != scenario.Put && p.Verb != scenario.Delete }) {
		return [][]scenario.Part{parts}
	}
	return slices.Collect(slices.Chunk(parts, 1))
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

// answer asks for the values at a path.
func (a *actor) answer(ctx context.Context, path string) (oracle.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	e, err := a.api.Entry(ctx, path)
	if err != nil && node.ProblemOf(err).Code == node.ErrNotFound.Code {
		return oracle.Answer{}, nil
	}
	return a.r.answerOf(e), err
}

// answerOf translates what the API says.
func (r *run) answerOf(e wire.Entry) oracle.Answer {
	out := oracle.Answer{Version: e.Version, LWW: e.Type == "lww"}
	for _, v := range e.Values {
		text, _ := v.Text()
		s := oracle.Sighting{Name: v.Version, Data: text, Writer: -1, Won: v.WonOverDelete}
		for _, a := range r.actors {
			if a.peer.Name() == v.Device.Name {
				s.Writer = a.index
			}
		}
		out.Values = append(out.Values, s)
	}
	return out
}

// read looks at a path. A device that is down shows nothing; one that should answer and does not is a violation.
func (a *actor) read(ctx context.Context, path string) (oracle.Answer, error) {
	if !a.running() {
		return oracle.Answer{}, nil
	}
	got, err := a.answer(ctx, path)
	if err != nil {
		return got, a.silent(ctx, "read "+path, err)
	}
	a.r.judge(func(w *oracle.Witness) { w.Read(a.index, path, got) })
	var values []string
	for _, v := range got.Values {
		values = append(values, v.Data)
	}
	a.tell(oracle.Event{Kind: oracle.EventRead, Path: path, Values: values})
	return got, nil
}

// silent judges a request that was not answered.
func (a *actor) silent(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if a.running() {
		a.fail(oracle.Available, "%s: %v", what, err)
	}
	return nil
}

// write carries out a write as a person does: look, decide, ask. If the values change under their hands they look again.
func (a *actor) write(ctx context.Context, parts []scenario.Part) error {
	for range readAgainMax {
		if !a.running() {
			return nil
		}
		var shown []oracle.Answer
		for _, p := range parts {
			got, err := a.read(ctx, p.Path)
			if err != nil {
				return err
			}
			shown = append(shown, got)
		}
		if !a.running() {
			return nil // it ended during the look
		}
		var x *oracle.Wish
		a.r.judge(func(w *oracle.Witness) { x = w.Ask(a.index, parts, shown) })
		if x == nil {
			return nil
		}
		a.tellWrite(x)
		versions, err := a.ask(ctx, x)
		if again, err := a.settle(ctx, x, versions, err); err != nil || !again {
			return err
		}
	}
	a.r.judge(func(w *oracle.Witness) { w.Sometimes("write given up") })
	return nil
}

func (a *actor) tellWrite(x *oracle.Wish) {
	for _, p := range x.Parts {
		e := oracle.Event{Kind: oracle.EventWrite, Path: p.Path, Text: string(p.Verb)}
		if !p.IsDelete() {
			e.Values = []string{p.Data}
		}
		a.tell(e)
	}
}

// settle takes note of the outcome of a write, and reports whether the writer should look again.
func (a *actor) settle(ctx context.Context, x *oracle.Wish, versions []string, err error) (again bool, _ error) {
	if err == nil {
		a.r.judge(func(w *oracle.Witness) { w.Granted(x, versions...) })
		for _, p := range x.Parts {
			if _, err := a.read(ctx, p.Path); err != nil {
				return false, err
			}
		}
		return false, nil
	}
	code := node.ProblemOf(err).Code
	switch code {
	case client.ErrCutOff.Code, client.ErrNotRunning.Code, client.ErrTimeout.Code, node.ErrClosed.Code:
		a.r.judge(func(w *oracle.Witness) { w.Unanswered(x) })
		return false, a.silent(ctx, x.String(), err)
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	changed := code == node.ErrVersionMismatch.Code || code == node.ErrExists.Code || code == node.ErrNotFound.Code
	a.tell(oracle.Event{Kind: oracle.EventRefused, Text: err.Error()})
	a.r.judge(func(w *oracle.Witness) { w.Denied(x, changed || code == node.ErrNoConflict.Code, err) })
	return changed && x.Parts[0].Verb != scenario.PutIf, nil
}

// ask hands a write to the device and returns the versions that it tells.
func (a *actor) ask(ctx context.Context, x *oracle.Wish) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if len(x.Parts) > 1 {
		return a.askForAll(ctx, x)
	}
	p := x.Parts[0]
	switch p.Verb {
	case scenario.Delete, scenario.DeleteAll:
		var doc wire.Del
		var err error
		if p.IfVersion != "" {
			doc, err = a.api.DeleteIf(ctx, p.Path, p.IfVersion)
		} else {
			doc, err = a.api.Delete(ctx, p.Path, p.Verb == scenario.DeleteAll)
		}
		return []string{doc.Version}, err
	case scenario.Resolve, scenario.Keep:
		ask := wire.Resolve{Path: p.Path, IfMatch: &p.IfVersion}
		for _, v := range p.Shown.Values {
			if p.Verb == scenario.Keep && v.Data == p.Data && ask.Keep == nil {
				ask.Keep = []string{v.Name}
			}
		}
		if p.Verb == scenario.Resolve {
			ask.Body = wire.BodyOf(node.Text(p.Data))
		}
		e, err := a.api.Resolve(ctx, ask)
		return []string{e.Version}, err
	}
	o := client.PutOptions{IfVersion: p.IfVersion, IfAbsent: p.IfVersion == "" && len(p.Shown.Values) == 0}
	if p.LWW {
		o.Type = "lww"
	}
	doc, err := a.api.Put(ctx, p.Path, node.Text(p.Data), o)
	return []string{doc.Version}, err
}

// askForAll hands over a transaction.
func (a *actor) askForAll(ctx context.Context, x *oracle.Wish) (versions []string, _ error) {
	var ops []wire.TxOp
	for _, p := range x.Parts {
		o := wire.TxOp{Op: "del", Path: p.Path}
		if p.Verb == scenario.Put {
			o = wire.PutOp(p.Path, node.Text(p.Data))
			if p.LWW {
				o.Type = "lww"
			}
		}
		ops = append(ops, o)
	}
	done, err := a.api.Tx(ctx, ops)
	for _, r := range done.Results {
		versions = append(versions, r.Version)
	}
	return versions, err
}

// sync synchronises now, and reports whether others are connected and hold what is here.
func (a *actor) sync(ctx context.Context, others ...*actor) bool {
	if !a.running() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, syncWithin+time.Second)
	defer cancel()
	doc, err := a.api.WaitSync(ctx, "", syncWithin)
	if err != nil || !doc.CaughtUp {
		return false
	}
	held := map[*actor]bool{a: true}
	for _, d := range doc.Devices {
		for _, o := range a.r.actors {
			if o != a && o.peer.Name() == d.Name && d.Missing.Entries == 0 && d.Path != "" {
				held[o] = true
				a.r.judge(func(w *oracle.Witness) { w.Holds(a.index, o.index) })
			}
		}
	}
	return !slices.ContainsFunc(others, func(o *actor) bool { return !held[o] })
}

// page asks for all that the device shows.
func (a *actor) page(ctx context.Context) (oracle.Page, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	p := oracle.Page{Paths: map[string]oracle.Answer{}, Conflicts: map[string]string{}}
	for e, err := range a.api.List(ctx, "", true) {
		if errors.Is(err, node.ErrFilling) { // what is here is what it shows
			break
		}
		if err != nil {
			return p, err
		}
		p.Paths[e.Path] = a.r.answerOf(e)
	}
	for c, err := range a.api.Conflicts(ctx, "") {
		if errors.Is(err, node.ErrFilling) { // what is here is what it shows
			break
		}
		if err != nil {
			return p, err
		}
		p.Conflicts[c.Path] = c.Version
	}
	st, err := a.api.Status(ctx)
	if err != nil {
		return p, err
	}
	p.Entries, p.ConflictCount = st.Entries, st.Conflicts
	for _, w := range st.Warnings {
		p.Alarms = append(p.Alarms, w.Code)
	}
	for code := range st.Alarms {
		p.Alarms = append(p.Alarms, code)
	}
	return p, nil
}
