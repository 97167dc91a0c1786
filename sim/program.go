package sim

import (
	"fmt"
	"slices"

	"syncline/crdt"
	"syncline/sim/des"
	"syncline/sim/oracle"
	"syncline/sim/scenario"
)

// A checkRun is one run of a scenario, with the merges that were made in it.
type checkRun struct {
	*Config
	*oracle.Report
	functions map[string]MergeFunc // by path
	// merges tells the first merges; hangs says that a function did not return.
	merges []string
	hangs  bool
}

// mergesTold is how many merges are told.
const mergesTold = 12

// run carries s out. first ends it at the first violation.
func (c *Config) run(s *scenario.Scenario, first bool) *checkRun {
	run := &checkRun{Config: c, functions: map[string]MergeFunc{}}
	for _, p := range s.Paths {
		run.functions[p] = c.mergeFor(p)
	}
	program := &oracle.Program{
		Content:   decodeValue,
		Merges:    func(p string) bool { return run.functions[p] != nil },
		Merge:     run.merge,
		MayRefuse: c.MayRefuse,
		Always:    c.Always,
	}
	if c.Invariant != nil {
		program.Invariant = run.invariant
	}
	run.Report = des.Run(s, des.Options{Program: program, First: first})
	return run
}

// merge calls the function for a path as a program on a device does.
func (r *checkRun) merge(p string, values []crdt.Value) ([]byte, error) {
	c := crdt.Conflict{Path: p, Siblings: values}
	var given []crdt.Value
	crdt.Resolve(c, crdt.MergeValues(func(vs []crdt.Value) (crdt.Value, error) { given = vs; return crdt.Value{}, nil }))
	out, fault := guarded(r.Deadline, func() outcome {
		v, err := crdt.Resolve(c, crdt.MergeValues(r.functions[p]))
		return outcome{v, err}
	})
	if fault != nil {
		r.hangs = r.hangs || fault.hangs
		return nil, &oracle.Fault{Text: fmt.Sprintf("the merge function %s\nIt was given, newest first:\n%s", fault.text, goLiteral(given))}
	}
	if n := len(out.Data); n > crdt.ValueBytesMax {
		return nil, &oracle.Fault{Text: fmt.Sprintf("the merge function made %d bytes of %s; a value has at most %d", n, list(given), crdt.ValueBytesMax)}
	}
	if m := fmt.Sprintf("%s: f(%s) = %v", p, list(given), out); len(r.merges) < mergesTold && !slices.Contains(r.merges, m) {
		r.merges = append(r.merges, m)
	}
	return slices.Clone(out.Data), out.err
}

func (r *checkRun) invariant(state map[string][][]byte) error {
	err, fault := guarded(r.Deadline, func() error { return r.Invariant(state) })
	if fault != nil {
		r.hangs = r.hangs || fault.hangs
		return &oracle.Fault{Text: "Invariant " + fault.text}
	}
	return err
}
