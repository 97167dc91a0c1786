package sim

import (
	"bytes"
	"fmt"
	"strings"

	"syncline/crdt"
)

// report tells a breach.
func (c *mergeCheck) report(test string, i, inputs int, vs []crdt.Value, b *breach) string {
	var text strings.Builder
	fmt.Fprintf(&text, "sim.CheckMerge: the merge function breaks the law %q: %s.\n", b.name, b.breach)
	for line := range strings.Lines(b.how) {
		fmt.Fprintf(&text, "    %s", line)
	}
	if b.call != nil {
		vs = b.call // what the laws call with is made from the input: only this call does it
	}
	text.WriteString("\nThe values, as Go:\n" + goLiteral(vs))
	if c.base {
		text.WriteString("The first one is the base.\n")
	}
	fmt.Fprintf(&text, "Reproduce with sim.MergeSeed(%d): %s. It is input %d of %d", c.seed, goTest(test), i+1, inputs)
	if b.law == ends {
		text.WriteString(", and was not cut down: each try would leave one more goroutine behind")
	} else {
		text.WriteString(", cut down")
	}
	return text.String() + "."
}

// goLiteral writes values as Go.
func goLiteral(vs []crdt.Value) string {
	var text strings.Builder
	text.WriteString("    []crdt.Value{\n")
	for _, v := range vs {
		typed := ""
		if v.Type != "" {
			typed = fmt.Sprintf("Type: %q, ", v.Type)
		}
		fmt.Fprintf(&text, "        {Data: []byte(%s), %sTime: %d, Dot: crdt.Dot{Replica: crdt.ReplicaID{%s}, Counter: %d}}, // %s\n",
			literal(v.Data), typed, v.Time, idBytes(v.Dot.Replica), v.Dot.Counter, inHex(v.Data))
	}
	return text.String() + "    }\n"
}

// idBytes lists the bytes of an id up to the last that is not zero.
func idBytes(id crdt.ReplicaID) string {
	var parts []string
	for _, b := range bytes.TrimRight(id[:], "\x00") {
		parts = append(parts, fmt.Sprint(b))
	}
	return strings.Join(parts, ", ")
}

// goTest is the command that runs one test.
func goTest(name string) string {
	return "go test -run '^" + strings.ReplaceAll(name, "/", "$/^") + "$'"
}

// shownBytes is how much of a value is printed.
const shownBytes = 100

// literal returns data as a Go string.
func literal(data []byte) string {
	if len(data) > shownBytes {
		return fmt.Sprintf("%q /* … %d bytes */", data[:shownBytes], len(data))
	}
	return fmt.Sprintf("%q", data)
}

func inHex(data []byte) string {
	if len(data) == 0 {
		return "empty"
	}
	if len(data) > shownBytes/4 {
		return fmt.Sprintf("%d B, hex %x…", len(data), data[:shownBytes/4])
	}
	return fmt.Sprintf("%d B, hex %x", len(data), data)
}

// list returns the data of values as the arguments of a call.
func list(vs []crdt.Value) string {
	var parts []string
	for i, v := range vs {
		if i == 4 && len(vs) > 5 {
			parts = append(parts, fmt.Sprintf("… %d more", len(vs)-i))
			break
		}
		parts = append(parts, literal(v.Data))
	}
	return strings.Join(parts, ", ")
}
