//go:build linux

package netns

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// Bounds of the tests.
const (
	commandMax = 60 * time.Second // one command line
	meetMax    = time.Minute      // devices that can reach each other meet within this on any machine; an idle one takes seconds
	poll       = 5 * time.Millisecond
)

// A device is a Peer whose failures end the test.
type device struct {
	*Peer
	t   *testing.T
	api *client.Client
}

// labFor makes a lab that goes away with the test.
func labFor(t *testing.T) *Lab {
	t.Helper()
	return openLab(t, New)
}

func openLab(t *testing.T, open func() (*Lab, error)) *Lab {
	t.Helper()
	needLab(t)
	l, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("hosts are connected by %v", l)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// newDevice adds a host with a device that does not run yet. Its log is shown if the test fails.
func newDevice(t *testing.T, l *Lab, name string) *device {
	t.Helper()
	h, err := l.Host(name)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "d")
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPeer(h, os.Getenv(binaryVariable), dir)
	if err != nil {
		t.Fatal(err)
	}
	d := &device{Peer: p, t: t, api: p.Client()}
	t.Cleanup(func() {
		d.showLog()
		d.api.Close()
		h.kill()
		os.RemoveAll(dir)
	})
	return d
}

// showLog prints the end of the daemon's log if the test failed.
func (d *device) showLog() {
	if !d.t.Failed() {
		return
	}
	b, _ := os.ReadFile(d.Log())
	d.t.Logf("log of %s:\n%s", d.Name(), b[max(0, len(b)-4000):])
}

// within returns a context that bounds one step of the test.
func (d *device) within(bound time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	d.t.Cleanup(cancel)
	return ctx
}

// exits carries out a command line that is expected to return code.
func (d *device) exits(code int, args ...string) Result {
	d.t.Helper()
	return d.feed(code, "", args...)
}

// feed carries out a command line with a standard input.
func (d *device) feed(code int, stdin string, args ...string) Result {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandMax)
	defer cancel()
	r, err := d.RunWith(ctx, stdin, args...)
	if err != nil {
		d.t.Fatalf("%s: peer %q: %v: %s%s", d.Name(), args, err, r.Stdout, r.Stderr)
	}
	if r.Code != code {
		d.t.Fatalf("%s: peer %q: exit code %d, want %d: %s%s", d.Name(), args, r.Code, code, r.Stdout, r.Stderr)
	}
	return r
}

// run carries out a command line that succeeds and returns what it printed.
func (d *device) run(args ...string) string {
	d.t.Helper()
	return d.exits(0, args...).Stdout
}

// document carries out a command line with --json and decodes what it printed.
func (d *device) document(doc any, args ...string) {
	d.t.Helper()
	out := d.run(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), doc); err != nil {
		d.t.Fatalf("%s: peer %q: %v in %q", d.Name(), args, err, out)
	}
}

// up starts the device in the background.
func (d *device) up(flags ...string) wire.Up {
	d.t.Helper()
	var doc wire.Up
	d.document(&doc, append([]string{"up", "-d"}, flags...)...)
	return doc
}

// put stores a text through the API.
func (d *device) put(path, value string) {
	d.t.Helper()
	if _, err := d.api.Put(d.within(commandMax), path, node.Text(value), client.PutOptions{}); err != nil {
		d.t.Fatalf("%s: put %s: %v", d.Name(), path, err)
	}
}

// value returns the shown text of an entry, or "" if there is none.
func (d *device) value(path string) string {
	raw, err := d.api.Get(d.within(commandMax), path)
	if err != nil {
		return ""
	}
	return string(raw.Data)
}

// status returns the status page. Asking for it makes the device synchronise.
func (d *device) status() wire.Status {
	d.t.Helper()
	st, err := d.api.Status(d.within(commandMax))
	if err != nil {
		d.t.Fatalf("%s: status: %v", d.Name(), err)
	}
	return st
}

// warns reports whether the status page carries a warning.
func (d *device) warns(code string) bool {
	for _, w := range d.status().Warnings {
		if w.Code == code {
			return true
		}
	}
	return false
}

// calm fails the test if the status page carries any warning.
func (d *device) calm() {
	d.t.Helper()
	if st := d.status(); len(st.Warnings) > 0 {
		d.t.Errorf("%s warns: %v", d.Name(), st.Warnings)
	}
}

// sees reports whether d is connected to another device. Asking does not make it synchronise.
func (d *device) sees(o *device) bool {
	doc, err := d.api.Devices(d.within(commandMax))
	if err != nil {
		return false
	}
	for _, s := range doc.Devices {
		if s.Name == o.Name() && s.Path != "" {
			return true
		}
	}
	return false
}

// path says how d is connected to another device.
func (d *device) path(o *device) string {
	d.t.Helper()
	doc, err := d.api.Device(d.within(commandMax), o.Name())
	if err != nil {
		d.t.Fatal(err)
	}
	return doc.Path
}

// export returns every entry in the canonical form.
func (d *device) export() string {
	d.t.Helper()
	return d.run("export")
}

// invite makes a ticket.
func (d *device) invite(flags ...string) wire.Invite {
	d.t.Helper()
	var doc wire.Invite
	d.document(&doc, append([]string{"invite"}, flags...)...)
	return doc
}

// admit lets another device in, without a question, and waits until both are connected.
func (d *device) admit(o *device) {
	d.t.Helper()
	o.run("join", d.invite("--auto-accept").Ticket)
	d.await(meetMax, "the new device is connected", func() bool { return d.sees(o) && o.sees(d) })
}

// caughtUp waits until other devices hold all that is here.
func (d *device) caughtUp() {
	d.t.Helper()
	d.run("sync", "--wait", "--timeout", "30s")
}

// await polls until cond holds and returns how long that took.
func (d *device) await(within time.Duration, what string, cond func() bool) time.Duration {
	d.t.Helper()
	start := time.Now()
	for !cond() {
		if time.Since(start) > within {
			d.t.Fatalf("%s: not within %v: %s", d.Name(), within, what)
		}
		time.Sleep(poll)
	}
	return time.Since(start)
}

// forget removes the address book of a device that is down, so that only discovery can find others.
func (d *device) forget() {
	d.t.Helper()
	if err := os.Remove(filepath.Join(d.Data(), "addresses.json")); err != nil && !os.IsNotExist(err) {
		d.t.Fatal(err)
	}
}

// pair makes two devices of one space in a lab of their own, connected.
func pair(t *testing.T) (*Lab, *device, *device) {
	t.Helper()
	return pairIn(t, labFor(t))
}

// pairIn makes the two devices in a lab that is there.
func pairIn(t *testing.T, l *Lab) (*Lab, *device, *device) {
	t.Helper()
	a, b := newDevice(t, l, "laptop"), newDevice(t, l, "desktop")
	a.up()
	b.up()
	a.admit(b)
	return l, a, b
}

// must fails the test on an error of the lab.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// same fails the test unless two devices export the same bytes, and returns them.
func same(t *testing.T, a, b *device) string {
	t.Helper()
	x, y := a.export(), b.export()
	if x != y {
		t.Fatalf("exports differ:\n%s: %s\n%s: %s", a.Name(), differing(x, y), b.Name(), differing(y, x))
	}
	return x
}

// differing returns the first lines of x that y does not have.
func differing(x, y string) string {
	has := map[string]bool{}
	for line := range strings.Lines(y) {
		has[line] = true
	}
	var out []string
	for line := range strings.Lines(x) {
		if !has[line] && len(out) < 5 {
			out = append(out, line[:min(len(line), 200)])
		}
	}
	return strings.Join(out, "")
}
