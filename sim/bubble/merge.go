package bubble

import (
	"context"
	"errors"
	"time"

	"syncline/node"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// A merge function takes so long at each of its two calls, unless it hangs.
const (
	mergeTakesMin = time.Millisecond
	mergeTakesMax = 450 * time.Millisecond
)

// register gives the device the merge functions of the scenario.
func (d *device) register(n *node.Node) error {
	if !d.w.s.HasFunctions(d.index) {
		return nil
	}
	for _, name := range scenario.Functions {
		if err := n.RegisterMerge(name, d.function(name)); err != nil {
			return err
		}
	}
	return nil
}

// function is a merge function of the scenario. One that hangs does not even look at its context, and ends with the run.
func (d *device) function(name string) node.MergeFunc {
	return func(_ context.Context, c node.Conflict) (node.Content, error) {
		if name == "hang" {
			<-d.w.ended
			return node.Content{}, errors.New("the run is over")
		}
		time.Sleep(fateOf(d.w.s.Seed, fateMerge, uint64(d.index), content([]byte(c.Path))).between(mergeTakesMin, mergeTakesMax))
		var contents []string
		for _, v := range c.Values {
			contents = append(contents, string(v.Data))
		}
		data, reason := oracle.Combine(name, d.index, contents)
		if reason != "" {
			return node.Content{}, errors.New(reason)
		}
		if tap := d.w.taps.result; tap != nil {
			data = tap(data)
		}
		return node.Text(data), nil
	}
}

// asked tells the oracle what the replica wants merged, after the step in which it asked. The caller holds the world's mutex.
func (d *device) asked(m node.Merge) {
	d.merges[m] = d.w.oracle.Asked(d.index, m)
}

// answered returns the write that a result may lead to, nil if it leads to none. The caller holds the world's mutex.
func (d *device) answered(m node.Merged, now node.Time) *oracle.Attempt {
	asked := d.merges[m.Merge]
	delete(d.merges, m.Merge)
	if asked == nil || m.Reason != "" {
		return nil
	}
	return d.w.oracle.Answered(asked, now.Wall)
}
