// Command plain runs one small scenario on real devices outside of go test, as the program peer does: its test sees that a bubble works
// in a plain program.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"syncline/sim/bubble"
	"syncline/sim/scenario"
)

func main() {
	s := &scenario.Scenario{Devices: make([]scenario.Device, 2), Paths: []string{"a"}, AntiEntropy: 5 * time.Second, DeleteLog: 1,
		Network: scenario.Network{LatencyMin: time.Millisecond, LatencyMax: 2 * time.Millisecond}, End: 3 * time.Second, ConvergeMax: time.Minute,
		Ops: []scenario.Op{{At: time.Second, Do: scenario.DoWrite, Parts: []scenario.Part{{Path: "a", Verb: scenario.Put}}}}}
	r, err := bubble.Driver{}.Run(context.Background(), s, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Println(r.Violations, r.Final["a"])
}
