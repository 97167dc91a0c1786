//go:build linux

package netns

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestTwoLaptops: nothing is configured; devices find each other, one is let in by a person, and writes travel.
func TestTwoLaptops(t *testing.T) {
	l := labFor(t)
	a, b := newDevice(t, l, "laptop"), newDevice(t, l, "desktop")
	a.up()
	b.up()
	joinConfirmed(t, a, b)
	a.run("put", "hello", "world")
	b.await(meetMax, "the first value arrives", func() bool { return b.value("hello") == "world" })
	if got := b.run("get", "hello"); got != "world" {
		t.Errorf("get into a pipe printed %q", got)
	}
	latency(t, a, b)
	discovery(t, a, b)
	a.caughtUp()
	same(t, a, b)
	a.calm()
	b.calm()
}

// joinConfirmed lets b in as a person does, from another terminal than the one that made the ticket.
func joinConfirmed(t *testing.T, a, b *device) {
	t.Helper()
	inv := a.invite()
	start := time.Now()
	joined := make(chan Result, 1)
	go func() {
		r, err := b.Run(b.within(commandMax), "join", inv.Ticket)
		if err != nil {
			r.Code, r.Stderr = -1, err.Error()
		}
		joined <- r
	}()
	a.await(meetMax, "the joiner waits to be let in", func() bool {
		doc, err := a.api.Invites(a.within(commandMax))
		return err == nil && len(doc.Invites) == 1 && doc.Invites[0].Request != nil
	})
	waiting := time.Since(start)
	a.run("invites", "accept", inv.ID)
	if r := <-joined; r.Code != 0 {
		t.Fatalf("join: exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	a.await(meetMax, "they are connected", func() bool { return a.sees(b) && b.sees(a) })
	t.Logf("join: %v from the ticket to the question, %v to connected", waiting.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
}

// latency measures from the call of put, which waits for the disk, until the other device shows the value.
func latency(t *testing.T, a, b *device) {
	t.Helper()
	var took []time.Duration
	for i := range 30 {
		value := fmt.Sprint(i)
		start := time.Now()
		a.put("latency", value)
		for b.value("latency") != value { // a request takes longer than any pause that made sense here
			if time.Since(start) > meetMax {
				t.Fatalf("the value did not arrive within %v", meetMax)
			}
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	t.Logf("put, fsync and visible on the other: median %v, 90th percentile %v, most %v",
		took[len(took)/2].Round(time.Millisecond/10), took[len(took)*9/10].Round(time.Millisecond/10), took[len(took)-1].Round(time.Millisecond/10))
}

// discovery restarts both devices without an address book, so that only mDNS can tell them of each other.
func discovery(t *testing.T, a, b *device) {
	t.Helper()
	for _, d := range []*device{a, b} {
		d.run("down")
		d.forget()
	}
	a.up()
	start := time.Now()
	b.up()
	answers := time.Since(start)
	b.await(meetMax, "they find each other", func() bool { return a.sees(b) && b.sees(a) })
	t.Logf("found by mDNS: connected %v after the start of up, which took %v; path %q",
		time.Since(start).Round(time.Millisecond), answers.Round(time.Millisecond), b.path(a))
}
