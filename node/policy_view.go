package node

import (
	"bytes"
	"cmp"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"syncline/crdt"
	"syncline/node/merge"
)

// A view is what a policy makes of the values that compete, without a write: a function of these values alone, so that it is the same
// on every device that holds them.
type view struct {
	policy Policy
	// value is what is shown: one of the live values, or, if made, a content that stands for all of them, with the dot and time of
	// the newest.
	value crdt.Value
	made  bool
}

// viewOf returns the view of a register in which something competes. It reports false if nothing does, if the policy at the path is no
// view, or if its values do not fit; reason then says why not.
func (b *ruleBook) viewOf(path string, reg crdt.Register) (v view, ok bool, reason string) {
	if len(b.rules) == 0 || reg.Contending() == 0 {
		return v, false, ""
	}
	return b.policy(path).view(reg.Distinct())
}

// view returns what a policy makes of different values, which are given newest first, as viewOf does.
func (p Policy) view(values []crdt.Value) (v view, ok bool, reason string) {
	v.policy, v.value = p, values[0]
	switch p {
	default:
		if p.check() != nil {
			reason = "this version of the program does not know the policy"
		}
		return view{}, false, reason
	case PolicyNewest:
	case PolicyMax:
		v.value = slices.MaxFunc(values, greater(values))
	case PolicyMin:
		v.value = slices.MinFunc(values, greater(values))
	case PolicyUnion:
		if len(values) == 1 {
			break
		}
		c, reason := union(values)
		if reason != "" {
			return view{}, false, reason
		}
		v.made = true
		v.value.Type, v.value.Data = c.Type, c.Data
	}
	return v, true, ""
}

// Show returns what the policy shows of different values that compete, which are given newest first. It reports false if the values do not
// fit it, or if it is none of those that need no write.
func (p Policy) Show(values []Content) (Content, bool) {
	if len(values) == 0 {
		return Content{}, false
	}
	var competing []crdt.Value
	for _, c := range values {
		competing = append(competing, crdt.Value{Data: c.Data, Type: c.Type})
	}
	v, ok, _ := p.view(competing)
	return Content{Data: v.value.Data, Type: v.value.Type}, ok
}

// version returns the version of a register under a book. What a view shows changes with the policy, so the policy is part of it.
func (b *ruleBook) version(path string, reg crdt.Register) Version {
	if v, ok, _ := b.viewOf(path, reg); ok {
		return v.version(reg)
	}
	return versionOf(reg)
}

// version returns the version of the register that it is the view of.
func (v view) version(reg crdt.Register) Version {
	return versionOf(reg) + Version("."+string(v.policy))
}

// greater returns the order of max and min: by number if all values are numbers, else by bytes. Equal numbers that are written in
// different ways, and equal bytes of different types, follow their text, so that the order is total.
func greater(values []crdt.Value) func(v, w crdt.Value) int {
	numbers := map[string]*big.Rat{}
	for _, v := range values {
		n := number(v.Data)
		if n == nil {
			numbers = nil
			break
		}
		numbers[string(v.Data)] = n
	}
	return func(v, w crdt.Value) int {
		order := 0
		if numbers != nil {
			order = numbers[string(v.Data)].Cmp(numbers[string(w.Data)])
		}
		return cmp.Or(order, bytes.Compare(v.Data, w.Data), cmp.Compare(v.Type, w.Type))
	}
}

// numberText is a number as JSON writes it.
var numberText = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// Bounds of what counts as a number: beyond them exact arithmetic would cost too much.
const (
	numberBytesMax = 64
	exponentMax    = 400
)

// number returns the exact number that data are as JSON or as text, white space around it aside, or nil.
func number(data []byte) *big.Rat {
	text := strings.TrimSpace(string(data))
	if len(text) > numberBytesMax || !numberText.MatchString(text) {
		return nil
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if e, err := strconv.Atoi(text[i+1:]); err != nil || max(e, -e) > exponentMax {
			return nil
		}
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil
	}
	return n
}

// unionBytesMax bounds the values that union takes apart, together: a view is made whenever the entry is read or written.
const unionBytesMax = 4 << 20

// union returns the elements of all values, or why there is none. The values are given newest first.
func union(values []crdt.Value) (Content, string) {
	arrays, texts, bytes := true, true, 0
	var elements []string
	var odd error
	for _, v := range values {
		if bytes += len(v.Data); bytes > unionBytesMax {
			return Content{}, fmt.Sprintf("the values have more than %d MiB together", unionBytesMax>>20)
		}
		isJSON := v.Type == MediaTypeJSON
		arrays, texts = arrays && isJSON, texts && !isJSON && (Content{Data: v.Data}).IsText()
		if arrays && odd == nil {
			var own []string
			own, odd = merge.Elements(v.Data)
			elements = append(elements, own...)
		}
	}
	c := Content{Type: values[0].Type}
	switch {
	case arrays && odd != nil:
		return c, fmt.Sprintf("union takes JSON arrays, and cannot take one of the values apart: %v", odd)
	case arrays:
		slices.Sort(elements)
		c.Data = []byte("[" + strings.Join(slices.Compact(elements), ",") + "]")
	case texts:
		c.Data = joinLines(values)
	default:
		return c, "union takes JSON arrays only, or texts only"
	}
	if len(c.Data) > ValueBytesMax {
		return c, "the union has more than 1 MiB"
	}
	return c, ""
}

// joinLines returns the lines of texts; empty ones are left out, each of the others ends with a line feed.
func joinLines(values []crdt.Value) []byte {
	var all []string
	for _, v := range values {
		for line := range strings.SplitSeq(string(v.Data), "\n") {
			if line = strings.TrimSuffix(line, "\r"); line != "" {
				all = append(all, line+"\n")
			}
		}
	}
	slices.Sort(all)
	return []byte(strings.Join(slices.Compact(all), ""))
}
