package main

import (
	"context"
	"errors"
	"fmt"

	"syncline/node"
	"syncline/node/api/client"
	"syncline/node/api/wire"
)

// A decision is what is to be done about one conflict of many.
type decision struct {
	ask   wire.Resolve
	how   string // in words
	value *wire.Content
}

// runAll decides every conflict under a prefix. Each is decided as it was when it was listed; one that changed meanwhile stays open.
func (r *resolveCommand) runAll(ctx context.Context, c *client.Client, prefix string) error {
	doc := wire.ResolveAll{Schema: wire.SchemaResolveAll, DryRun: r.dryRun, Resolved: []wire.ResolveOne{}, Left: []wire.ResolveOne{}}
	if r.device != "" { // a name that was mistyped would leave everything open
		if _, err := c.Device(ctx, r.device); err != nil {
			return r.meant(ctx, c, r.device, err)
		}
	}
	var decisions []decision
	for conflict, err := range c.Conflicts(ctx, prefix) {
		if errors.Is(err, node.ErrFilling) {
			r.tellFilling(err)
			break
		}
		if err != nil {
			return err
		}
		d, reason, err := r.decide(ctx, c, conflict)
		if err != nil {
			return err
		}
		if reason != "" {
			doc.Left = append(doc.Left, wire.ResolveOne{Path: conflict.Path, Reason: reason})
			continue
		}
		decisions = append(decisions, d)
	}
	shown, foreseen := false, len(doc.Left)
	if len(decisions) > 0 && !r.dryRun {
		if shown = !r.yes && r.interactive() && r.out.tty; shown {
			r.printDecisions(planned(decisions), doc.Left)
		}
		stay := ""
		if n := len(doc.Left); n > 0 {
			stay = fmt.Sprintf(" %s cannot be decided so.", count(n))
		}
		if err := r.confirm(ctx, fmt.Sprintf("Decide %s%s?%s", plural(len(decisions), "conflict", "conflicts"), under(prefix), stay), false); err != nil {
			return err
		}
	}
	if err := r.carryOut(ctx, c, decisions, &doc); err != nil {
		if n := len(doc.Resolved); n > 0 && !r.dryRun {
			r.out.note("%s decided before this happened.", plural(n, "conflict was", "conflicts were"))
		}
		return err
	}
	err := r.out.result(doc, func() {
		if shown && len(doc.Left) > foreseen {
			r.printDecisions(nil, doc.Left[foreseen:])
		}
		r.printAll(doc, prefix, shown)
	})
	if err == nil && len(doc.Left) > 0 {
		return quietExit(exitConflicts)
	}
	return err
}

// carryOut makes the decisions, unless they are only to be told, and notes in doc what came of each.
func (r *resolveCommand) carryOut(ctx context.Context, c *client.Client, decisions []decision, doc *wire.ResolveAll) error {
	bar := r.progress(int64(len(decisions)), "deciding", false)
	defer bar.Finish()
	for _, d := range decisions {
		bar.Add(1)
		one := wire.ResolveOne{Path: d.ask.Path, How: d.how, Content: d.value}
		if !r.dryRun {
			e, err := c.Resolve(ctx, d.ask)
			if err != nil {
				reason, err := leftOpen(err)
				if err != nil {
					return err
				}
				doc.Left = append(doc.Left, wire.ResolveOne{Path: d.ask.Path, Reason: reason})
				continue
			}
			one.Undo, one.Content = e.Undo, &e.Content
		}
		doc.Resolved = append(doc.Resolved, one)
	}
	return nil
}

// leftOpen returns why one conflict of many stays open, or the error if it is about more than that.
func leftOpen(err error) (reason string, _ error) {
	if err == nil {
		return "", nil
	}
	p := node.ProblemOf(err)
	if p.Status >= 500 || p.Status == 0 {
		return "", err
	}
	return orElse(p.Detail, p.Title), nil
}

// decide returns what to do about a conflict, or why nothing can be done. If somebody looks before it is done, that includes what a merge
// comes to.
func (r *resolveCommand) decide(ctx context.Context, c *client.Client, conflict wire.Conflict) (d decision, reason string, err error) {
	d.ask = wire.Resolve{Path: conflict.Path, IfMatch: &conflict.Version}
	if r.merge == "" {
		for _, v := range rivals(conflict.Values) {
			if r.newest || isFrom(v, r.device) {
				d.ask.Keep, d.how, d.value = []string{v.Version}, "keep the value from "+writer(v), &v.Content
				return d, "", nil
			}
		}
		return d, "no value of it is from " + r.device, nil
	}
	d.ask.Merge, d.ask.Policy = true, r.policy()
	d.how = orElse(d.ask.Policy, conflict.Policy)
	if d.how == string(node.PolicyManual) {
		return d, "its policy is manual, which combines nothing; --merge=text, json or another names one", nil
	}
	if r.yes && !r.dryRun {
		return d, "", nil
	}
	p, err := c.PreviewResolve(ctx, d.ask)
	d.value = &p.Content
	reason, err = leftOpen(err)
	return d, reason, err
}

// briefValue is machineValue for a list: of what is not text it tells the size.
func briefValue(c wire.Content) string {
	if _, ok := c.Text(); !ok {
		return preview(c)
	}
	return machineValue(c)
}

// planned tells decisions that are still to be made.
func planned(decisions []decision) []wire.ResolveOne {
	var out []wire.ResolveOne
	for _, d := range decisions {
		out = append(out, wire.ResolveOne{Path: d.ask.Path, How: d.how, Content: d.value})
	}
	return out
}

// printAll tells what was decided. If the decisions were shown before the question, only how many.
func (r *resolveCommand) printAll(doc wire.ResolveAll, prefix string, shown bool) {
	if len(doc.Resolved)+len(doc.Left) == 0 {
		r.out.done("No conflicts%s.", under(prefix))
		if r.merge == string(node.PolicyHere) && r.isPolicy(prefix) {
			r.out.note("If “%s” is the policy and no prefix:  %s resolve --all --merge=%s", prefix, r.self(), prefix)
		}
		return
	}
	if !shown {
		r.printDecisions(doc.Resolved, doc.Left)
	}
	switch {
	case !r.out.tty:
	case doc.DryRun:
		r.out.say("Nothing was done: --dry-run.")
	default:
		r.out.done("%s decided, %d left open.", plural(len(doc.Resolved), "conflict", "conflicts"), len(doc.Left))
	}
}

// printDecisions lists what is decided, or is to be, and what is left open.
func (r *resolveCommand) printDecisions(decided, left []wire.ResolveOne) {
	t := r.out.table("PATH", "DECISION", "VALUE")
	for _, one := range decided {
		t.add(text(one.Path), text(one.How), both(preview(*one.Content), briefValue(*one.Content)))
	}
	for _, one := range left {
		t.add(text(one.Path), text("left open: "+one.Reason), both("", "-"))
	}
	t.print()
}
