//go:build linux

package netns

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// copyData replaces the data folder of one device by a copy of another's. Both are down.
func copyData(t *testing.T, from, to string) {
	t.Helper()
	must(t, os.RemoveAll(to))
	must(t, os.MkdirAll(to, 0o700))
	if out, err := exec.Command("cp", "-a", from+"/.", to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
}

// TestACopyOfADeviceIsFound: two live devices with one key say so and stop; the copy gets a key of its own, is invited, and
// nothing that either wrote is lost.
func TestACopyOfADeviceIsFound(t *testing.T) {
	slow(t, "30 s", false)
	t.Parallel()
	l, a, b := pair(t)
	a.put("before", "1")
	a.caughtUp()
	b.run("down")
	c := newDevice(t, l, "copy")
	copyData(t, b.Data(), c.Data())
	b.up()
	b.put("by/original", "1")
	c.up()
	c.put("by/copy", "1")
	took := c.await(2*meetMax, "both copies warn", func() bool { return b.warns("twin_device") && c.warns("twin_device") })
	t.Logf("two live copies of one device are warned %v after the second came up", took.Round(time.Millisecond))
	c.await(2*meetMax, "both copies have stopped syncing", func() bool { return !b.sees(a) && !c.sees(a) })

	before := a.export()
	b.put("while/twin", "b")
	c.put("while/twin", "c")
	time.Sleep(2 * time.Second)
	if after := a.export(); after != before {
		t.Errorf("a copy that has stopped syncing sent %s", differing(after, before))
	}

	c.run("down")
	b.run("down")
	b.up()
	b.await(meetMax, "the original is connected again", func() bool { return a.sees(b) && b.sees(a) })
	if id := c.up("--new-identity").Device.ID; id == b.status().Device.ID {
		t.Fatal("the copy has the same key after --new-identity")
	}
	if c.sees(a) {
		t.Error("the copy is connected before it was invited")
	}
	a.admit(c)
	c.await(meetMax, "all three hold what each wrote", func() bool {
		for _, d := range []*device{a, b, c} {
			if d.value("by/original") != "1" || d.value("by/copy") != "1" || d.status().Conflicts != 1 {
				return false
			}
		}
		return true
	})
	same(t, a, b)
	same(t, a, c)
	for _, d := range []*device{a, b, c} {
		d.calm()
	}
}

// TestARestoredBackupLosesNothing: the data folder is replaced by an older copy. What other devices hold comes back, also what
// this device itself had written since, and new writes are no fork.
func TestARestoredBackupLosesNothing(t *testing.T) {
	slow(t, "20 s", false)
	t.Parallel()
	_, a, b := pair(t)
	b.put("old", "1")
	b.put("changed", "old")
	b.caughtUp()
	b.run("down")
	backup := b.Home + "/backup"
	copyData(t, b.Data(), backup)

	b.up()
	b.put("since", "1")
	b.put("changed", "new")
	b.run("del", "old")
	b.caughtUp()
	a.put("by/laptop", "1")
	a.caughtUp()
	b.run("down")
	copyData(t, backup, b.Data())
	must(t, b.Host.Leave())
	b.up()
	b.put("after/restore", "1") // before it can know what it had written
	must(t, b.Host.Arrive(b.Host.Addr()))

	b.await(2*meetMax, "what it had written is back", func() bool {
		return b.value("since") == "1" && b.value("changed") == "new" && b.value("old") == "" && b.value("by/laptop") == "1"
	})
	a.await(meetMax, "the write after the restore arrives", func() bool { return a.value("after/restore") == "1" })
	a.caughtUp()
	b.caughtUp()
	same(t, a, b)
	a.calm()
	b.calm()
	if n := a.status().Conflicts; n != 0 {
		t.Errorf("%d conflicts", n)
	}
}
