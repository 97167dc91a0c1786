package sim

import (
	"context"

	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// A Driver carries scenarios out. Package des runs them on simulated links and disks, package bubble on real libp2p in virtual time.
type Driver interface {
	// Run carries s out and judges it. It returns an error only if the run could not be carried out, or ctx ended; what the devices did
	// wrong stands in the report. events, if not nil, gets everything that happened, in order, on one goroutine at a time.
	Run(ctx context.Context, s *scenario.Scenario, events func(oracle.Event)) (*oracle.Report, error)
}
