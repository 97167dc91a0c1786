package oracle

import (
	"testing"
	"time"

	"syncline/gossip"
	"syncline/node"
	"syncline/sim/scenario"
)

// TestAlarmsCallDevicesByTheirNames: nobody who reads a report knows the id of a device.
func TestAlarmsCallDevicesByTheirNames(t *testing.T) {
	o := New(&scenario.Scenario{Devices: []scenario.Device{{}, {Name: "phone"}}}, func() time.Duration { return 0 })
	id := gossip.DeviceID{1, 2, 3}
	o.Alarm(0, 1, node.Alarm{Code: node.AlarmDiverged, Peer: id, Text: "this device and " + id.Short() + " differ"})
	o.Alarm(0, -1, node.Alarm{Code: node.AlarmDiverged, Text: "something differs"})
	for i, want := range []string{"diverged: this device and phone differ", "diverged: something differs"} {
		if got := o.Violations[i].Text; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestHistoryMayBeMissedOnAFullDiskOnly: that values are not kept is no news of a disk that fails otherwise.
func TestHistoryMayBeMissedOnAFullDiskOnly(t *testing.T) {
	for _, c := range []struct{ full, fails, may bool }{{may: false}, {fails: true}, {full: true, may: true}, {full: true, fails: true, may: true}} {
		o := New(&scenario.Scenario{Devices: make([]scenario.Device, 1)}, func() time.Duration { return 0 })
		o.DiskFails(0, c.full, c.fails)
		o.Alarm(0, -1, node.Alarm{Code: node.AlarmUnkept})
		if allowed := len(o.Violations) == 0; allowed != c.may {
			t.Errorf("full %v, fails %v: %v", c.full, c.fails, o.Violations)
		}
	}
}
