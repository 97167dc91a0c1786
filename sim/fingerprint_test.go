package sim_test

import (
	"testing"

	"syncline/sim"
	"syncline/sim/des"
)

// TestFingerprintsTellSimulatorsApart wants the same name whenever the same is run, and another if runs go otherwise.
func TestFingerprintsTellSimulatorsApart(t *testing.T) {
	var names [3]string
	for i, d := range []sim.Driver{des.Driver{}, des.Driver{}, des.Driver{Taps: lyingDisk(nil)}} {
		name, err := sim.Fingerprint(d)
		if err != nil || len(name) != 8 {
			t.Fatalf("%q, %v", name, err)
		}
		names[i] = name
	}
	if names[0] != names[1] || names[0] == names[2] {
		t.Errorf("%q", names)
	}
}
