package oracle

import (
	"errors"
	"fmt"
	"slices"

	"syncline/crdt"
)

// A Program is what runs on every device beside the people: it settles conflicts, and claims something about its data.
type Program struct {
	// Content returns the data for which the Value of a part of a scenario stands; nil means that it stands for itself.
	Content func(value string) string
	// Merges reports whether the program settles the conflicts at a path.
	Merges func(path string) bool
	// Merge returns the data of the value that replaces those that compete at a path, newest first. A [*Fault] ends the run; any other
	// error leaves the conflict open.
	Merge func(path string, values []crdt.Value) ([]byte, error)
	// MayRefuse says that a conflict may be open in the end if Merge returns an error for it.
	MayRefuse bool
	// Invariant returns an error if what a device holds must not be. state has the different contents of each path that has any, newest
	// first. It is asked about every device in the end; with Always, about every state. It may be nil.
	Invariant func(state map[string][][]byte) error
	Always    bool
}

func (p *Program) content(value string) string {
	if p == nil || p.Content == nil {
		return value
	}
	return p.Content(value)
}

// A Fault is the error of a Program that did not return as it should.
type Fault struct{ Text string }

func (f *Fault) Error() string { return f.Text }

// inputs returns the live values of a path as they were written, newest first.
func (o *Oracle) inputs(path string, reg crdt.Register) []crdt.Value {
	out := []crdt.Value{}
	for _, v := range reg.Newest() {
		if e := o.identify(path, v); e != nil {
			out = append(out, crdt.Value{Dot: e.dot, Time: e.time, Kind: e.kind, Type: e.mime, Data: []byte(e.data), Won: v.Won, Resolved: v.Resolved})
		}
	}
	return out
}

// checkMerges makes every merged value again, from what it was made of.
func (o *Oracle) checkMerges() {
	for _, w := range o.writes {
		for _, e := range w.entries {
			if e.inputs == nil {
				continue
			}
			o.Sometimes("merge")
			again, err := o.Program.Merge(e.path, e.inputs)
			if f := (*Fault)(nil); errors.As(err, &f) {
				o.Fail(Merged, w.device, "at %s, asked about %s once more: %v", e.path, dataOf(e.inputs), f)
				return
			}
			if err != nil || string(again) != e.data {
				o.Fail(Phantom, w.device, "at %s, %s became %q; asked again, the program makes %q of it (error: %v)", e.path, dataOf(e.inputs), e.data, again, err)
			}
		}
	}
}

func dataOf(vs []crdt.Value) string {
	var out []string
	for _, v := range vs {
		out = append(out, string(v.Data))
	}
	return fmt.Sprintf("%q", out)
}

// checkSettled says whether a device is left with a conflict that the program settles, and holds what the first device holds.
func (o *Oracle) checkSettled(device int) {
	if o.Program == nil {
		return
	}
	d := o.devices[device]
	for _, path := range o.s.Paths {
		reg, err := d.view.Get(path)
		if err != nil || !o.Program.Merges(path) {
			continue
		}
		if reg.Contending() > 0 {
			_, err := o.Program.Merge(path, reg.Newest())
			if err == nil {
				o.Fail(Merged, device, "the conflict at %s between %s is left open", path, dataOf(reg.Newest()))
			} else if !o.Program.MayRefuse {
				o.Fail(Merged, device, "the conflict at %s between %s is left open: %v", path, dataOf(reg.Newest()), err)
			}
		}
		first, err := o.devices[0].view.Get(path)
		if got, want := dataOf(contentsOf(reg)), dataOf(contentsOf(first)); err == nil && got != want {
			o.Fail(Merged, device, "%s holds %s, and %s on device 0", path, got, want)
		}
	}
	o.invariant(device)
}

// checkState asks the program about one state of many.
func (o *Oracle) checkState(device int) {
	if o.Program != nil && o.Program.Always {
		o.invariant(device)
	}
}

func (o *Oracle) invariant(device int) {
	if o.Program.Invariant == nil {
		return
	}
	state := map[string][][]byte{}
	for _, path := range o.s.Paths {
		reg, err := o.devices[device].view.Get(path)
		if err != nil {
			continue
		}
		for _, v := range contentsOf(reg) {
			state[path] = append(state[path], slices.Clone(v.Data))
		}
	}
	if err := o.Program.Invariant(state); err != nil {
		o.Fail(Invariant, device, "%v", err)
		if f := (*Fault)(nil); errors.As(err, &f) {
			o.Program.Invariant = nil // it is not asked again
		}
	}
}

// contentsOf returns the live values that differ, newest first.
func contentsOf(reg crdt.Register) []crdt.Value {
	var out []crdt.Value
	for _, v := range reg.Newest() {
		if !slices.ContainsFunc(out, v.SameContent) {
			out = append(out, v)
		}
	}
	return out
}
