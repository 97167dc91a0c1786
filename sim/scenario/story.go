package scenario

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Story tells a scenario in plain words: one step for each operation, in order. The first also says what is unusual from the start.
func Story(s *Scenario) []string {
	t := &teller{s: s, last: -1}
	var steps []string
	for i := range s.Ops {
		steps = append(steps, t.tell(i))
	}
	setting := t.setting()
	switch {
	case setting == "":
	case len(steps) == 0:
		steps = []string{setting}
	default:
		steps[0] = setting + " " + steps[0]
	}
	return steps
}

// A teller knows what was told last.
type teller struct {
	s    *Scenario
	last int // the device that the last sentence was about, -1 if none
}

// setting tells in a sentence what is unusual from the start, if anything is.
func (t *teller) setting() string {
	s := t.s
	var parts []string
	if s.NoGossip {
		parts = append(parts, "nobody gossips")
	} else if s.Network.Loss > 0 {
		parts = append(parts, portion(s.Network.Loss)+" gossip is lost")
	}
	if s.Network.Links != nil {
		parts = append(parts, "not every device reaches every other")
	}
	if s.DeleteLog < deleteLogDefault {
		parts = append(parts, fmt.Sprintf("a device remembers %s", count(int64(s.DeleteLog), "delete")))
	}
	if s.AnswerRows > 0 {
		parts = append(parts, fmt.Sprintf("an answer in a session holds %s", count(int64(s.AnswerRows), "path")))
	}
	if s.AnswerMemory > 0 {
		parts = append(parts, fmt.Sprintf("the values of a path that an answer in a session holds take at most %d bytes beside their data", s.AnswerMemory))
	}
	for i, d := range s.Devices {
		if d.Poll != 0 {
			parts = append(parts, fmt.Sprintf("%s polls every %s", s.DeviceName(i), lengthOf(d.Poll)))
		}
		if d.Skew != 0 {
			parts = append(parts, fmt.Sprintf("the clock of %s is %s", s.DeviceName(i), wrong(d.Skew)))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return sentence("from the start, " + list(parts))
}

func wrong(ms int64) string {
	if ms < 0 {
		return lengthOf(time.Duration(-ms)*time.Millisecond) + " slow"
	}
	return lengthOf(time.Duration(ms)*time.Millisecond) + " fast"
}

// portion tells a share of something.
func portion(share float64) string {
	if share >= 1 {
		return "all"
	}
	return formatShare(share) + " of the"
}

// tell tells one operation, and how long after the one before it happens.
func (t *teller) tell(i int) string {
	o := &t.s.Ops[i]
	text := t.what(o)
	if i == 0 {
		return sentence(text)
	}
	switch gap := o.At - t.s.Ops[i-1].At; {
	case gap == 0:
		text = "at the same moment " + text
	case gap < time.Millisecond:
		text = "less than a millisecond later " + text
	default:
		text = lengthOf(gap) + " later " + text
	}
	return sentence(text)
}

// what tells what an operation does. A device that the last sentence was about is "it".
func (t *teller) what(o *Op) string {
	f := formOf(o.Do)
	who, whose := t.s.DeviceName(o.Device), "of "+t.s.DeviceName(o.Device)
	its := func(thing string) string { return "the " + thing + " " + whose }
	switch {
	case !f.onDevice():
		t.last = -1
	case t.last == o.Device:
		who = "it"
		its = func(thing string) string { return "its " + thing }
	default:
		t.last = o.Device
	}
	length := ""
	if f.takes("for") && o.For > 0 {
		length = " for " + lengthOf(o.For)
	} else if f.takes("for") && !f.goesAway() {
		length = ", until it is healed"
	}
	amount := lengthOf(time.Duration(max(o.Amount, -o.Amount)) * time.Millisecond)
	switch o.Do {
	case DoWrite:
		return who + " " + t.parts(o.Parts)
	case DoRead:
		return who + " reads " + o.Path
	case DoPolicy:
		return who + " puts " + o.Path + " under the policy " + o.Policy
	case DoSync:
		return who + " starts a session with every peer"
	case DoJoin:
		return who + " starts for the first time, empty"
	case DoClone:
		return who + " starts for the first time, with a copy of the data of " + t.s.DeviceName(o.Of)
	case DoPartition:
		return "the connections between " + t.groups(o.Groups) + " are cut" + length
	case DoDisconnect:
		return who + " loses all its connections" + length
	case DoStall:
		return "nothing passes between " + t.groups(o.Groups) + length
	case DoHeal:
		return "all faults end"
	case DoLoss:
		return portion(float64(o.Amount)/1000) + " gossip is lost" + length
	case DoDuplicate:
		return portion(float64(o.Amount)/1000) + " gossip arrives twice" + length
	case DoReorder:
		return "gossip takes up to " + amount + " longer" + length
	case DoSlow:
		return "every message takes " + amount + " longer" + length
	case DoReset:
		return "all streams of " + strings.TrimPrefix(whose, "of ") + " break"
	case DoCrash:
		return its("power") + " fails" + length + ", and " + survivors(o.Amount) + " of what was not yet on disk survives"
	case DoRestart:
		return who + " is closed in order and started again" + after(o.For)
	case DoBackup:
		return its("data") + " are copied"
	case DoRestore:
		return who + " gets the data of its last backup and is started again" + after(o.For)
	case DoDiskFull:
		return its("disk") + " is full" + length
	case DoSyncFail:
		return its("disk") + " confirms no sync" + length + ", until its power fails and it starts again"
	case DoDamage:
		return its("record") + " of " + o.Path + " is damaged"
	case DoRepair:
		return who + " repairs what is damaged"
	case DoClock:
		if o.Amount < 0 {
			return its("clock") + " jumps back by " + amount
		}
		return its("clock") + " jumps forward by " + amount
	}
	return string(o.Do)
}

func after(d time.Duration) string {
	if d == 0 {
		return " at once"
	}
	return " " + lengthOf(d) + " later"
}

func survivors(mille int64) string {
	switch mille {
	case 0:
		return "nothing"
	case 1000:
		return "all"
	}
	return formatMille(mille)
}

// manners says what a verb does to paths.
var manners = map[Verb]string{Put: "writes %s", Delete: "deletes %s", PutAll: "writes %s over every value", Sibling: "writes %s beside what stands there",
	Resolve: "settles %s with a new value", Keep: "settles %s in favour of one of its values",
	PutIf: "writes %s if nothing has changed since it wrote there", DeleteAll: "deletes every value of %s"}

// parts tells a transaction: paths that are written in one manner share a verb.
func (t *teller) parts(parts []Part) string {
	var texts []string
	for i := 0; i < len(parts); {
		var paths []string
		first := parts[i]
		for ; i < len(parts) && parts[i].Verb == first.Verb && parts[i].LWW == first.LWW; i++ {
			paths = append(paths, parts[i].Path)
		}
		text := fmt.Sprintf(manners[first.Verb], list(paths))
		if first.LWW && !first.Verb.deletes() {
			text += " (the newest wins)"
		}
		texts = append(texts, text)
	}
	if len(parts) > 1 {
		return list(texts) + " in one transaction"
	}
	return list(texts)
}

func (t *teller) groups(groups [][]int) string {
	var texts []string
	for _, g := range groups {
		var names []string
		for _, i := range g {
			names = append(names, t.s.DeviceName(i))
		}
		if len(names) > 4 {
			names = append(names[:3], count(int64(len(names)-3), "other"))
		}
		texts = append(texts, list(names))
	}
	if len(texts) == 2 && len(groups[0])+len(groups[1]) > 2 {
		return texts[0] + " on one side and " + texts[1] + " on the other"
	}
	return list(texts)
}

// list joins texts as people do.
func list(texts []string) string {
	if len(texts) < 2 {
		return strings.Join(texts, "")
	}
	n := len(texts) - 1
	return strings.Join(texts[:n], ", ") + " and " + texts[n]
}

// sentence makes the first letter large and puts a point at the end.
func sentence(text string) string {
	r, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(r)) + text[n:] + "."
}

var numbers = []string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"}

// count tells a number of things.
func count(n int64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	if n >= 0 && n < int64(len(numbers)) {
		return numbers[n] + " " + thing
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// lengthOf tells a length of time, rounded to what people care about.
func lengthOf(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{year, "year"}, {day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		switch {
		case d < u.unit:
		case d%u.unit == 0 || d >= 20*u.unit:
			return count(int64(d.Round(u.unit)/u.unit), u.name)
		case u.unit == time.Second:
			if d.Round(100*time.Millisecond)%time.Second == 0 {
				return count(int64(d.Round(time.Second)/time.Second), u.name)
			}
			return fmt.Sprintf("%.1f seconds", d.Seconds())
		case d >= 2*u.unit:
			return fmt.Sprintf("%.1f %ss", float64(d)/float64(u.unit), u.name)
		}
	}
	return count(int64(d.Round(time.Millisecond)/time.Millisecond), "millisecond")
}
