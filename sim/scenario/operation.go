package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"syncline/crdt"
)

var (
	meaningOf = map[string]string{"t": "when it happens", "on": "on which device", "by": "how far the clock jumps", "is": "which policy"}
	exampleOf = map[string]string{"t": `"3s"`, "on": `"laptop"`, "by": `"-1h"`, "is": `"newest"`}
)

func (p *parser) operations(t table) {
	for i, m := range t.tables("at") {
		before := len(p.errs)
		o := p.operation(table{p, fmt.Sprintf("at[%d]", i), m})
		if len(p.errs) == before {
			p.s.Ops, p.tables = append(p.s.Ops, o), append(p.tables, i)
		}
	}
}

func (p *parser) operation(t table) (o Op) {
	var found []string
	for _, key := range actions() {
		if _, ok := t.m[key]; ok {
			found = append(found, key)
		}
	}
	switch {
	case len(found) > 1:
		t.fail(found[1], "give each a table [[at]] of its own", "one table has %d actions: %s", len(found), strings.Join(found, ", "))
		return o
	case len(found) == 0:
		t.noAction()
		return o
	}
	f := formNamed(found[0])
	keys := slices.Concat([]string{"t", f.key}, f.needs, f.may)
	for _, key := range slices.Sorted(maps.Keys(t.m)) {
		if slices.Contains(keys, key) {
			continue
		}
		hint := "its keys are " + strings.Join(keys, ", ")
		if guess := nearest(key, keys); guess != "" && !slices.Contains(further, key) {
			hint = guess
		}
		t.p.failAt(t.p.places.keyOf(t.where(key)), hint, "%s takes no %q", f.key, abbreviate(key))
	}
	for _, key := range slices.Concat([]string{"t"}, f.needs) {
		if _, ok := t.m[key]; !ok {
			t.fail(f.key, "add a line "+key+" = "+exampleOf[key], "%s needs %q: %s", f.key, key, meaningOf[key])
		}
	}
	o = Op{At: t.duration("t", 0), Do: f.do, For: t.duration("for", 0)}
	if _, ok := t.m["on"]; ok {
		o.Device, _ = p.device(t, "on", t.m["on"])
	}
	p.content(t, f, &o)
	return o
}

// noAction says what the table might have meant to do: it has a key that is none of an operation, or none.
func (t table) noAction() {
	list := strings.Join(actions(), ", ")
	none := true
	for _, key := range slices.Sorted(maps.Keys(t.m)) {
		if slices.Contains(further, key) {
			continue
		}
		none = false
		hint := "the actions are " + list
		if word := otherWords[strings.ToLower(key)]; word != "" {
			hint = "use " + word
		} else if guess := nearest(key, slices.Concat(actions(), further)); guess != "" {
			hint = guess
		}
		t.p.failAt(t.p.places.keyOf(t.where(key)), hint, "the key %q is not known", abbreviate(key))
	}
	if none {
		t.fail("", "give it one of "+list, "the table has no action")
	}
}

// content reads what stands behind the action, and the amount.
func (p *parser) content(t table, f *form, o *Op) {
	switch f.is {
	case isDevice:
		o.Device, _ = p.device(t, f.key, t.m[f.key])
	case isSource:
		o.Of, _ = p.device(t, f.key, t.m[f.key])
	case isParts:
		o.Parts = p.parts(t, f)
	case isPath:
		o.Path, _ = t.text(f.key)
	case isPattern:
		o.Path, _ = t.text(f.key)
		o.Policy, _ = t.text("is")
	case isGroups:
		o.Groups = p.groups(t, f.key)
	case isShare:
		o.Amount = t.mille(f.key)
	case isMillis:
		o.Amount = t.millis(f.key)
	case isTrue:
		if !t.flag(f.key, true) {
			t.fail(f.key, "leave the table out", "%s = false does nothing", f.key)
		}
	}
	if f.takes("keep") {
		o.Amount = t.mille("keep")
	}
	if f.takes("by") {
		o.Amount = t.millis("by")
	}
}

// parts reads a path, or a list of paths and of tables with a path and how it is written.
func (p *parser) parts(t table, f *form) []Part {
	all := Part{Verb: Put}
	if f.key == "delete" {
		all.Verb = Delete
	}
	all = t.manner(all)
	if f.key == "delete" && !all.Verb.deletes() {
		t.fail("how", `a delete is "delete" or "deleteall"`, "%q deletes nothing", all.Verb)
	}
	const hint = `write a path, or a list of paths`
	var list []any
	switch v := t.m[f.key].(type) {
	case string:
		list = []any{v}
	case []any:
		list = v
	case []map[string]any:
		for _, m := range v {
			list = append(list, m)
		}
	default:
		t.fail(f.key, hint, "%s is %s", f.key, kindOf(v))
		return nil
	}
	var parts []Part
	for _, v := range list {
		switch v := v.(type) {
		case string:
			all.Path = v
			parts = append(parts, all)
		case map[string]any:
			sub := table{t.p, t.path + "." + f.key, v}
			sub.only("path", "how", "newest", "value", "size")
			part := sub.manner(all)
			part.Path, _ = sub.text("path")
			parts = append(parts, part)
		default:
			t.fail(f.key, hint, "%s holds %s", f.key, kindOf(v))
		}
	}
	return parts
}

// manner reads how something is written; what is not said is as in p.
func (t table) manner(p Part) Part {
	if how, ok := t.text("how"); ok {
		p.Verb = Verb(how)
		if !slices.Contains(verbs, p.Verb) {
			t.fail("how", meant(how, verbNames()), "there is no way to write called %q", abbreviate(how))
		}
	}
	p.LWW = t.flag("newest", p.LWW)
	if value, ok := t.text("value"); ok {
		p.Value = value
	}
	p.Size = t.count("size", p.Size, crdt.ValueBytesMax)
	return p
}

// groups reads "laptop, phone | nas", with "4..7" for a run of devices and "others" for all that are not named. The devices that an
// override adds are dealt out to the groups in turn: in none of them, they would pass everything on from one group to the other.
func (p *parser) groups(t table, key string) [][]int {
	text, ok := t.text(key)
	if !ok {
		return nil
	}
	var groups [][]int
	left, rest := map[int]bool{}, -1
	for i := range p.s.Devices {
		left[i] = true
	}
	for k, group := range strings.Split(text, "|") {
		var g []int
		for _, item := range strings.Split(group, ",") {
			item = strings.TrimSpace(item)
			from, to, _ := strings.Cut(item, "..")
			switch {
			case item == others:
				rest = k
			case item == "":
				t.fail(key, `write groups with a bar between, as "laptop, phone | nas"`, "a name is missing in %q", abbreviate(text))
			case isNumber(from) && isNumber(to):
				first, okFirst := p.device(t, key, from)
				last, okLast := p.device(t, key, to)
				for i := first; okFirst && okLast && i <= last; i++ {
					g = append(g, i)
				}
			default:
				if i, ok := p.device(t, key, item); ok {
					g = append(g, i)
				}
			}
		}
		for _, i := range g {
			delete(left, i)
		}
		groups = append(groups, g)
	}
	if rest >= 0 {
		groups[rest] = append(groups[rest], slices.Sorted(maps.Keys(left))...)
		return groups
	}
	for i := p.own; i < len(p.s.Devices); i++ {
		k := (i - p.own) % len(groups)
		groups[k] = append(groups[k], i)
	}
	return groups
}

func isNumber(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }
