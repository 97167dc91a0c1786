//go:build linux

package netns

import (
	"strings"
	"testing"
	"time"
)

// TestAStrangerStaysOutside: whoever was not invited gets no connection and no data, and each ticket that is no good is
// refused with its own exit code and words.
func TestAStrangerStaysOutside(t *testing.T) {
	slow(t, "15 s", false)
	t.Parallel()
	l, a, b := pair(t)
	c := newDevice(t, l, "stranger")
	a.put("secret", "s")
	c.up()
	c.put("own", "1")
	refuseTickets(t, a, b, c)
	refuseAddress(t, a, c)

	// It is on the same LAN, was told the address, and asked four times.
	if c.sees(a) || a.sees(c) {
		t.Error("the stranger is connected")
	}
	if got := c.export(); strings.Contains(got, "secret") {
		t.Errorf("the stranger holds %s", got)
	}
	if got := a.export(); strings.Contains(got, "own") {
		t.Errorf("the stranger's entries are here: %s", got)
	}
	if n := len(a.status().Devices); n != 2 {
		t.Errorf("%d other devices are members, want desktop and friend", n)
	}
}

// refuseTickets tries tickets that are mistyped, spent, expired, denied, and of a space that this device is in.
func refuseTickets(t *testing.T, a, b, c *device) {
	t.Helper()
	refused := func(code int, ticket, problem, words string) {
		t.Helper()
		refuseJoin(t, c, code, ticket, problem, words)
	}
	good := a.invite("--auto-accept")
	refused(2, mistyped(good.Ticket), "ticket_invalid", "Not a valid ticket")
	refused(2, good.Ticket[:len(good.Ticket)-4], "ticket_invalid", "Not a valid ticket")

	short := a.invite("--expires", "1s", "--auto-accept")
	time.Sleep(time.Until(short.Expires) + time.Second)
	refused(1, short.Ticket, "invite_expired", "expired")

	d := newDevice(t, c.Host.lab, "friend")
	d.up()
	d.run("join", good.Ticket)
	refused(1, good.Ticket, "invite_used", "used")
	away := d.invite("--auto-accept").Ticket
	d.run("down")
	must(t, d.Host.Leave())
	if r := c.exits(8, "join", away, "--timeout", "2s"); strings.Count(r.Stderr, "\n") != 3 {
		t.Errorf("an inviter that is away: %s", r.Stderr)
	}

	deny := a.invite()
	denied := make(chan Result, 1)
	go func() {
		r, _ := c.Run(c.within(commandMax), "join", deny.Ticket)
		denied <- r
	}()
	a.await(meetMax, "the stranger waits", func() bool {
		r, err := a.Run(a.within(commandMax), "invites", "reject", deny.ID)
		return err == nil && r.Code == 0
	})
	if r := <-denied; r.Code != 7 || !strings.Contains(r.Stderr, "✗") {
		t.Errorf("a rejected join: exit code %d, want 7: %s", r.Code, r.Stderr)
	}
	if r := b.exits(1, "join", a.invite("--auto-accept").Ticket); !strings.Contains(r.Stderr, "Already joined") {
		t.Errorf("joining the space that one is in says %q", r.Stderr)
	}
	otherSpace(t, a, b, c)
}

// refuseJoin tries a ticket, for people and for a script.
func refuseJoin(t *testing.T, c *device, code int, ticket, problem, words string) {
	t.Helper()
	start := time.Now()
	r := c.exits(code, "join", ticket)
	if !strings.Contains(r.Stderr, words) || strings.Count(r.Stderr, "\n") != 3 || r.Stdout != "" {
		t.Errorf("join says %q, want three lines with %q", r.Stderr, words)
	}
	took := time.Since(start).Round(time.Millisecond)
	if j := c.exits(code, "join", ticket, "--json"); !strings.Contains(j.Stderr, `"code":"`+problem+`"`) {
		t.Errorf("join --json says %q, want code %s", j.Stderr, problem)
	}
	t.Logf("exit %d, %s, %v: %s", code, problem, took, strings.ReplaceAll(strings.TrimSpace(r.Stderr), "\n", " / "))
}

// otherSpace lets a member of one space into the stranger's: it keeps the first, and neither space hears of the other.
func otherSpace(t *testing.T, a, b, c *device) {
	t.Helper()
	out := b.run("join", c.invite("--auto-accept").Ticket)
	if !strings.Contains(out, "kept in space home") {
		t.Errorf("joining another space says %q", out)
	}
	b.await(meetMax, "the other space arrives", func() bool { return b.value("own") == "1" })
	if got := b.run("get", "secret", "--space", "home"); got != "s" {
		t.Errorf("the first space is not kept: secret is %q", got)
	}
	b.put("in/the/other", "1")
	b.run("put", "in/the/first", "1", "--space", "home")
	c.await(meetMax, "a write in the other space arrives there", func() bool { return c.value("in/the/other") == "1" })
	a.await(meetMax, "a write in the first space arrives there", func() bool { return a.value("in/the/first") == "1" })
	if strings.Contains(a.export(), "in/the/other") || strings.Contains(c.export(), "in/the/first") {
		t.Error("an entry left its space")
	}
}

// mistyped changes one letter in the middle of a ticket.
func mistyped(ticket string) string {
	b := []byte(ticket)
	if b[len(b)/2] == 'a' {
		b[len(b)/2] = 'b'
	} else {
		b[len(b)/2] = 'a'
	}
	return string(b)
}

// refuseAddress tells the stranger where a device listens; it is no member of the stranger's space, so that helps nothing.
func refuseAddress(t *testing.T, a, c *device) {
	t.Helper()
	addrs := a.status().Addrs
	if len(addrs) == 0 {
		t.Fatal("no address is listened on")
	}
	c.exits(3, "devices", "add-address", a.status().Device.ID, addrs[0])
}
