package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"time"

	"syncline/sim/scenario"
)

// fingerprintSize is that of the scenarios behind a fingerprint: large enough for every kind of message, small enough to cost little.
var fingerprintSize = scenario.Size{Devices: 3, Writes: 8, Reads: 4, Chaos: 4 * time.Second}

// Fingerprint names what this program makes of seeds: it is a hash over a few generated scenarios and the traces of their runs. Programs
// with equal fingerprints most likely draw the same scenario from a seed and run it alike; with different ones they do not. The driver
// must be repeatable.
func Fingerprint(d Driver) (string, error) {
	h := fnv.New64a()
	for seed := range uint64(4) {
		s := scenario.Generate(seed, fingerprintSize)
		b, err := json.Marshal(s)
		if err != nil {
			return "", err
		}
		r, err := d.Run(context.Background(), s, nil)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %x\n", b, r.Trace)
	}
	return fmt.Sprintf("%08x", uint32(h.Sum64())), nil
}
