//go:build linux

package netns

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"syncline/node"
	"syncline/node/api/client"
)

const (
	overwrittenKeys    = 10
	overwrites         = 10_000 // of all keys together
	overwriteBytesMax  = 60_000
	settleAfterArrival = 5 * time.Second
	idleFor            = 30 * time.Second
)

// TestOverwritesWhileAwayCostOneValue: a device that missed ten thousand overwrites of ten keys gets ten values. Everything on
// its wire counts, from the heal to five seconds after the values are there: discovery, handshakes, pings.
func TestOverwritesWhileAwayCostOneValue(t *testing.T) {
	slow(t, "70 s", false)
	t.Parallel()
	l, a, b := pair(t)
	a.caughtUp()
	must(t, l.Split([]*Host{b.Host}))
	a.await(cutLong, "the connection is noticed to be dead", func() bool { return !a.sees(b) && !b.sees(a) })
	rate := overwrite(t, a)
	last := fmt.Sprint(overwrites/overwrittenKeys - 1)

	before := counters(t, b)
	must(t, l.Heal())
	took := b.await(meetMax, "the values arrive", func() bool {
		for k := range overwrittenKeys {
			if b.value(fmt.Sprintf("key/%d", k)) != last {
				return false
			}
		}
		return true
	})
	arrived := counters(t, b).Sub(before)
	time.Sleep(settleAfterArrival)
	bytes := counters(t, b).Sub(before)
	t.Logf("%d overwrites of %d keys while away (%.0f/s): arrived %v after the heal, %d bytes until then, %d bytes (%d received, %d sent) until %v later; bound %d",
		overwrites, overwrittenKeys, rate, took.Round(time.Millisecond), arrived.Total(), bytes.Total(), bytes.Received, bytes.Sent, settleAfterArrival, overwriteBytesMax)
	if bytes.Total() > overwriteBytesMax {
		t.Errorf("%d bytes on the wire, at most %d are allowed", bytes.Total(), overwriteBytesMax)
	}
	same(t, a, b)
	a.calm()
	b.calm()
}

// overwrite writes each key again and again, waiting for each acknowledgement, and returns the writes a second.
func overwrite(t *testing.T, d *device) float64 {
	t.Helper()
	start := time.Now()
	var all sync.WaitGroup
	for k := range overwrittenKeys {
		all.Go(func() {
			c := client.New(d.Socket(), "")
			defer c.Close()
			for i := range overwrites / overwrittenKeys {
				if _, err := c.Put(context.Background(), fmt.Sprintf("key/%d", k), node.Text(fmt.Sprint(i)), client.PutOptions{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return overwrites / time.Since(start).Seconds()
}

// counters reads what a device's interface carried until now.
func counters(t *testing.T, d *device) Traffic {
	t.Helper()
	c, err := d.Host.Traffic()
	must(t, err)
	return c
}

// TestBytesOfAnIdlePair measures what two connected devices say when there is nothing to say, and what a put and a session
// add. It asserts little: the figures are for docs/PERFORMANCE.md.
func TestBytesOfAnIdlePair(t *testing.T) {
	slow(t, "80 s", false)
	for _, flags := range [][]string{nil, {"--no-lan"}} {
		t.Run(fmt.Sprint("flags ", flags), func(t *testing.T) {
			t.Parallel()
			l := labFor(t)
			a, b := newDevice(t, l, "laptop"), newDevice(t, l, "desktop")
			a.up(flags...)
			b.up(flags...)
			a.admit(b)
			a.put("steady", "0")
			a.caughtUp()
			measureIdle(t, a, b)
		})
	}
}

// TestWhatPollingCosts measures, for a pair that gossips and for pairs that poll, what they say when there is nothing to say and how
// long a put takes to the other device. It asserts nothing but arrival: the figures are for docs/PERFORMANCE.md.
func TestWhatPollingCosts(t *testing.T) {
	slow(t, "3 min", false)
	if os.Getenv(measureVariable) == "" {
		t.Skip("a measurement of minutes, in which nothing can fail that others do not test; " + measureVariable + "=1 runs it")
	}
	for _, flags := range [][]string{nil, {"--no-gossip", "--poll", "1s"}, {"--no-gossip", "--poll", "5s"}, {"--no-gossip", "--poll", "30s"}} {
		t.Run(fmt.Sprint(flags), func(t *testing.T) {
			t.Parallel()
			l := labFor(t)
			a, b := newDevice(t, l, "laptop"), newDevice(t, l, "desktop")
			flags := append([]string{"--no-lan"}, flags...)
			up := b.up(flags...)
			a.up(flags...)
			a.admit(b)
			a.run("devices", "add-address", "desktop", b.status().Addrs[0])
			a.caughtUp()
			time.Sleep(5 * time.Second) // what follows the join
			before := counters(t, b)
			time.Sleep(2 * idleFor)
			idle := float64(counters(t, b).Sub(before).Total()) / (2 * idleFor).Seconds()

			const puts = 6
			var sum, longest time.Duration
			for i := range puts {
				time.Sleep(time.Duration(700*i) * time.Millisecond) // anywhere within the period
				v := fmt.Sprint("value ", i)
				a.put("k", v)
				took := b.await(meetMax, "the value arrives", func() bool { return b.value("k") == v })
				sum, longest = sum+took, max(longest, took)
			}
			t.Logf("%v, %s, path %q: idle %.0f bytes/s; put to visible mean %v, longest %v of %d", flags, up.Device.Name, b.path(a),
				idle, (sum / puts).Round(time.Millisecond), longest.Round(time.Millisecond), puts)
		})
	}
}

// TestWhatIdlingCosts measures what two connected devices with 100,000 entries each take of a core, of memory and of the network, in a
// minute that begins a minute after they were started. It asserts nothing: the figures are for docs/PERFORMANCE.md.
func TestWhatIdlingCosts(t *testing.T) {
	slow(t, "3 min", false)
	if os.Getenv(measureVariable) == "" {
		t.Skip("a measurement of minutes, in which nothing can fail that others do not test; " + measureVariable + "=1 runs it")
	}
	const entries, size, idle = 100_000, 64, time.Minute
	l := labFor(t)
	a, b := newDevice(t, l, "laptop"), newDevice(t, l, "desktop")
	flags := []string{"--no-lan", "--listen", "/ip4/0.0.0.0/udp/4001/quic-v1"} // the same address after the restart
	a.up(flags...)
	b.up(flags...)
	a.admit(b)
	a.run("devices", "add-address", "desktop", b.status().Addrs[0])
	var lines strings.Builder
	for i := range entries {
		fmt.Fprintf(&lines, "{\"path\":\"idle/%06d\",\"value\":\"%-*d\"}\n", i, size, i)
	}
	a.feed(0, lines.String(), "import")
	b.await(2*time.Minute, "the entries arrive", func() bool { return b.status().Entries >= entries })
	for _, d := range []*device{a, b} { // without the garbage of the import
		d.run("down")
		d.up(flags...)
	}
	a.await(meetMax, "they meet again", func() bool { return a.sees(b) && b.sees(a) })
	time.Sleep(idle)
	spentA, residentA := a.used()
	spentB, residentB := b.used()
	before := counters(t, b)
	time.Sleep(idle)
	t.Logf("path %q, idle for %v: %.1f and %.1f MB resident", b.path(a), idle, float64(residentA)/1e6, float64(residentB)/1e6)
	endA, _ := a.used()
	endB, _ := b.used()
	t.Logf("in the next %v %.2f and %.2f %% of a core, %.0f bytes/s between them", idle, 100*(endA-spentA).Seconds()/idle.Seconds(),
		100*(endB-spentB).Seconds()/idle.Seconds(), float64(counters(t, b).Sub(before).Total())/idle.Seconds())
}

// used is the time that the daemon has spent on a core, which Linux counts in hundredths of a second, and the bytes of its memory.
func (d *device) used() (cpu time.Duration, resident int64) {
	d.t.Helper()
	pid, err := d.PID()
	must(d.t, err)
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(d.t, err)
	_, rest, _ := strings.Cut(string(b), ") ") // behind the name, from the third field on
	fields := strings.Fields(rest)
	number := func(field int) int64 { // as proc(5) counts them
		n, err := strconv.ParseInt(fields[field-3], 10, 64)
		must(d.t, err)
		return n
	}
	const utime, stime, rss = 14, 15, 24
	return time.Duration(number(utime)+number(stime)) * 10 * time.Millisecond, number(rss) * int64(os.Getpagesize())
}

func measureIdle(t *testing.T, a, b *device) {
	rest := func(d time.Duration) float64 {
		before := counters(t, b)
		time.Sleep(d)
		return float64(counters(t, b).Sub(before).Total())
	}
	rest(5 * time.Second) // what follows the join
	idle := rest(idleFor) / idleFor.Seconds()
	t.Logf("idle pair, path %q: %.0f bytes/s over %v", b.path(a), idle, idleFor)

	// What is said when there is nothing to say comes in lumps: an average of it, subtracted, is off by hundreds of bytes in either
	// direction. So each put has a short window of its own, which mostly holds nothing else.
	const puts, window, gap = 20, 100 * time.Millisecond, 300 * time.Millisecond
	bytes := make([]int64, puts)
	for i := range bytes {
		before := counters(t, b)
		a.put("small", fmt.Sprint("value ", i))
		time.Sleep(window)
		bytes[i] = counters(t, b).Sub(before).Total()
		time.Sleep(gap)
	}
	slices.Sort(bytes)
	t.Logf("one small put: %d bytes (median of %v)", bytes[puts/2], bytes)

	before, start := counters(t, b), time.Now()
	for range puts {
		a.caughtUp()
	}
	added := float64(counters(t, b).Sub(before).Total()) - idle*time.Since(start).Seconds()
	t.Logf("session of two equal replicas: %.0f bytes over idle (mean of %d)", added/puts, puts)
	if idle > 2000 {
		t.Errorf("an idle pair says %.0f bytes/s", idle)
	}
}
