package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// A decision is what is to be done about one conflict of many.
type decision struct {
	ask wire.Resolve
	how string // in words
}

// runAll decides every conflict under a prefix. Each is decided as it was when it was listed; one that changed meanwhile stays open.
func (r *resolveCommand) runAll(ctx context.Context, c *client.Client, prefix string) error {
	doc := wire.ResolveAll{Schema: wire.SchemaResolveAll, DryRun: r.dryRun, Resolved: []wire.ResolveOne{}, Left: []wire.ResolveOne{}}
	var decisions []decision
	for conflict, err := range c.Conflicts(ctx, prefix) {
		if errors.Is(err, node.ErrFilling) {
			r.tellFilling(err)
			break
		}
		if err != nil {
			return err
		}
		d, reason := r.decide(conflict)
		if reason != "" {
			doc.Left = append(doc.Left, wire.ResolveOne{Path: conflict.Path, Reason: reason})
			continue
		}
		decisions = append(decisions, d)
	}
	if len(decisions) > 0 && !r.dryRun {
		if err := r.confirm(fmt.Sprintf("Decide %s%s?", plural(len(decisions), "conflict", "conflicts"), under(prefix)), false); err != nil {
			return err
		}
	}
	for _, d := range decisions {
		one := wire.ResolveOne{Path: d.ask.Path, How: d.how}
		if !r.dryRun {
			e, err := c.Resolve(ctx, d.ask)
			if err != nil {
				p := node.ProblemOf(err)
				if p.Status >= 500 || p.Status == 0 {
					return err
				}
				doc.Left = append(doc.Left, wire.ResolveOne{Path: d.ask.Path, Reason: orElse(p.Detail, p.Title)})
				continue
			}
			one.Undo = e.Undo
		}
		doc.Resolved = append(doc.Resolved, one)
	}
	err := r.out.result(doc, func() { r.printAll(doc, prefix) })
	if err == nil && len(doc.Left) > 0 {
		return quietExit(exitConflicts)
	}
	return err
}

// decide returns what to do about a conflict, or why nothing can be done.
func (r *resolveCommand) decide(c wire.Conflict) (d decision, reason string) {
	d.ask = wire.Resolve{Path: c.Path, IfMatch: &c.Version}
	if r.merge != "" {
		d.ask.Merge, d.ask.Policy = true, r.policy()
		d.how = orElse(d.ask.Policy, c.Policy)
		if d.how == string(node.PolicyManual) {
			return d, "its policy is manual, which combines nothing"
		}
		return d, ""
	}
	for _, v := range rivals(c.Values) {
		if r.newest || r.device == v.Device.ID || r.device == v.Device.Short || strings.EqualFold(r.device, v.Device.Name) {
			d.ask.Keep, d.how = []string{v.Version}, "keep the value from "+shortName(v.Device)
			return d, ""
		}
	}
	return d, "no value of it is from " + r.device
}

func (r *resolveCommand) printAll(doc wire.ResolveAll, prefix string) {
	if len(doc.Resolved)+len(doc.Left) == 0 {
		r.out.done("No conflicts%s.", under(prefix))
		return
	}
	t := r.out.table("PATH", "DECISION")
	for _, one := range doc.Resolved {
		t.add(text(one.Path), text(one.How))
	}
	for _, one := range doc.Left {
		t.add(text(one.Path), text("left open: "+one.Reason))
	}
	t.print()
	switch {
	case !r.out.tty:
	case doc.DryRun:
		r.out.say("Nothing was done: --dry-run.")
	default:
		r.out.done("%s decided, %d left open.", plural(len(doc.Resolved), "conflict", "conflicts"), len(doc.Left))
	}
}
