package node

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"syncline/crdt"
	"syncline/store/mem"
)

func TestTheMostSpecificPatternThatMatchesCounts(t *testing.T) {
	book := newRuleBook([]PolicyRule{
		{"**", PolicyNewest}, {"cart/**", PolicyUnion}, {"cart/*", PolicyMax}, {"cart/special", PolicyMin},
		{"notes/*.json", PolicyMerge("json-like")}, {"a/**/z", PolicyMax}, {"*/x", PolicyUnion},
	})
	for path, want := range map[string]Policy{
		"cart": PolicyUnion, "cart/1": PolicyMax, "cart/1/2": PolicyUnion, "cart/special": PolicyMin, "cartoon": PolicyNewest,
		"notes/a.json": "merge:json-like", "notes/a.jso": PolicyNewest, "notes/d/a.json": PolicyNewest, "notes/.json": "merge:json-like",
		"a/z": PolicyMax, "a/b/c/z": PolicyMax, "a/b/zz": PolicyNewest, "b/x": PolicyUnion, "x": PolicyNewest, "b/c/x": PolicyNewest,
		"/members/x": PolicyManual,
	} {
		if got := book.policy(path); got != want {
			t.Errorf("%s: policy %q, want %q", path, got, want)
		}
	}
	if got := new(ruleBook).policy("a"); got != PolicyManual {
		t.Errorf("without rules: %q, want manual", got)
	}
}

func TestPatternsAndPoliciesThatCannotBeAreRefused(t *testing.T) {
	for _, pattern := range []string{"", "/a", "a//b", "a/", "a/**b", "***", "..", "a\x00", string(make([]byte, 2000))} {
		if checkPattern(pattern) == nil {
			t.Errorf("pattern %q is allowed", pattern)
		}
	}
	for _, p := range []Policy{"", "latest", "merge:", "merge:a b", "Manual"} {
		if p.check() == nil {
			t.Errorf("policy %q is allowed", p)
		}
	}
}

// plainMatch says in the plainest way whether a pattern matches a path.
func plainMatch(pattern, path []string) bool {
	switch {
	case len(pattern) == 0:
		return len(path) == 0
	case pattern[0] == "**":
		return plainMatch(pattern[1:], path) || len(path) > 0 && plainMatch(pattern, path[1:])
	case len(path) == 0:
		return false
	}
	one := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern[0]), `\*`, ".*") + "$")
	return one.MatchString(path[0]) && plainMatch(pattern[1:], path[1:])
}

// Devices that have the same rules choose alike, in whatever order and in how many steps the rules came, changed and went: one that matches,
// with the longest beginning without a star.
func TestTheChoiceDependsOnTheRulesAlone(t *testing.T) {
	segments := rapid.SampledFrom([]string{"a", "b", "ab", "*", "a*", "*b", "a*b", "**"})
	rapid.Check(t, func(t *rapid.T) {
		kinds := rapid.SampledFrom([]Policy{PolicyManual, PolicyNewest, PolicyMax, PolicyUnion, PolicyMergeText, ""})
		last := map[string]Policy{} // of each pattern; "" if it has none
		var effects []crdt.Effect
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			rule := PolicyRule{strings.Join(rapid.SliceOfN(segments, 1, 3).Draw(t, "pattern"), "/"), kinds.Draw(t, "policy")}
			e := crdt.Effect{Path: policiesPrefix + rule.Pattern}
			if rule.Policy != "" {
				e.After = register(rule.Op().Content)
			}
			last[rule.Pattern] = rule.Policy
			effects = append(effects, e)
		}
		book := newRuleBook(nil)
		for rest := effects; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "step")
			for i := range rest[:n] { // within one step each path changes once
				if slices.ContainsFunc(rest[:i], func(e crdt.Effect) bool { return e.Path == rest[i].Path }) {
					n = i
					break
				}
			}
			book, rest = book.with(rest[:n]), rest[n:]
		}
		var rules []PolicyRule
		for pattern, p := range last {
			if p != "" {
				rules = append(rules, PolicyRule{pattern, p})
			}
		}
		again := newRuleBook(rules)
		for range 8 {
			path := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "aab"}), 1, 4).Draw(t, "path"), "/")
			got, want := book.policy(path), again.policy(path)
			var best, literal = PolicyManual, -1
			for _, r := range rules {
				n := strings.IndexByte(r.Pattern+"*", '*')
				if plainMatch(strings.Split(r.Pattern, "/"), strings.Split(path, "/")) && n >= literal {
					if n > literal || r.Policy == got { // others decide between equals
						best = r.Policy
					}
					literal = n
				}
			}
			if got != want || got != best {
				t.Fatalf("rules %v: %s is %q in the order of arrival, %q otherwise, by the longest beginning %q", rules, path, got, want, best)
			}
		}
	})
}

// register returns one with a value of each content, the last the newest.
func register(values ...Content) crdt.Register {
	var reg crdt.Register
	for i, c := range values {
		reg.Live = append(reg.Live, crdt.Value{Dot: crdt.Dot{Replica: crdt.ReplicaID{byte(i + 1)}, Counter: 1}, Time: crdt.Timestamp(i + 1), Type: c.Type, Data: c.Data})
	}
	return reg
}

func TestViewsAreWhatTheirPoliciesSay(t *testing.T) {
	text := func(values ...string) (out []Content) {
		for _, v := range values {
			out = append(out, Text(v))
		}
		return out
	}
	array := func(values ...string) (out []Content) {
		for _, v := range values {
			out = append(out, Content{Data: []byte(v), Type: MediaTypeJSON})
		}
		return out
	}
	for _, tt := range []struct {
		policy Policy
		values []Content
		want   string // "" if it does not fit
	}{
		{PolicyNewest, text("b", "c", "a"), "a"},
		{PolicyMax, text("9", "10", "1e1"), "1e1"}, // equal numbers go by their text
		{PolicyMax, text("9", "10", "x"), "x"},     // not all are numbers
		{PolicyMin, text("9", "10", "-0.5"), "-0.5"},
		{PolicyMin, text("b", "a"), "a"},
		{PolicyMax, text("100000000000000000001", "100000000000000000002"), "100000000000000000002"}, // no float
		{PolicyMax, text("1e999999999", "2"), "2"},                                                   // not taken for a number: by bytes
		{PolicyUnion, array(`["b", {"y":1,"x":2}]`, `[{"x":2,"y":1},"a"]`, `[]`), `["a","b",{"x":2,"y":1}]`},
		{PolicyUnion, array(`["\ud800"]`, `["\udbff"]`), `["\ud800","\udbff"]`}, // halves of characters, which no text tells apart
		{PolicyUnion, array(`[{"a":1,"a":2}]`, `[]`), ""},                       // of which one would be lost
		{PolicyUnion, array("[\"\xff\"]", `[]`), ""},
		{PolicyUnion, text("b\na\n", "c\r\na"), "a\nb\nc\n"},
		{PolicyUnion, append(array(`["a"]`), Text("a")), ""},
		{PolicyUnion, array(`["a"]`, `{"a":1}`), ""},
		{PolicyUnion, array(`["a"]`, `["b"] x`), ""},
		{PolicyUnion, []Content{Bytes([]byte{0}), Bytes([]byte{1})}, ""},
		{PolicyUnion, text(strings.Repeat("a\n", unionBytesMax/4-1), strings.Repeat("b\n", unionBytesMax/4-1)), "a\nb\n"},
		{PolicyUnion, text(strings.Repeat("a\n", unionBytesMax/4), strings.Repeat("b\n", unionBytesMax/4), "c"), ""},
		{PolicyManual, text("a", "b"), ""},
		{PolicyMerge("f"), text("a", "b"), ""},
	} {
		book := newRuleBook([]PolicyRule{{"**", tt.policy}})
		reg := register(tt.values...)
		v, ok, reason := book.viewOf("a", reg)
		if ok != (tt.want != "") || string(v.value.Data) != tt.want {
			t.Errorf("%s of %q: %q, %v, want %q", tt.policy, tt.values, v.value.Data, ok, tt.want)
		}
		if tt.policy == PolicyUnion && !ok && reason == "" {
			t.Errorf("%s of %q: no reason", tt.policy, tt.values)
		}
		if ok != (book.version("a", reg) != versionOf(reg)) {
			t.Errorf("%s of %q: a version that does not tell the view", tt.policy, tt.values)
		}
		// The order of arrival, which is that of the replicas' ids, must not matter.
		slices.Reverse(reg.Live)
		if again, _, _ := book.viewOf("a", reg); string(again.value.Data) != tt.want {
			t.Errorf("%s of %q: %q in another order", tt.policy, tt.values, again.value.Data)
		}
	}
}

// BenchmarkUnion makes what a read shows of two arrays of about 1 MiB each.
func BenchmarkUnion(b *testing.B) {
	for name, element := range map[string]string{"numbers": "12345", "objects": `{"b":1,"a":[true]}`} {
		var values []crdt.Value
		for i := range 2 {
			data := "[" + strings.Repeat(element+",", 1<<20/(len(element)+1)-1) + fmt.Sprint(i) + "]"
			values = append(values, crdt.Value{Type: MediaTypeJSON, Data: []byte(data)})
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok, reason := PolicyUnion.view(values); !ok {
					b.Fatal(reason)
				}
			}
		})
	}
}

// The bytes of a rule in the system map, as docs/PROTOCOL.md has them: an array of the version and the policy.
func TestRulesHaveOneEncoding(t *testing.T) {
	op := PolicyRule{"cart/**", PolicyUnion}.Op()
	if want := "\x82\x01\x65union"; string(op.Data) != want || op.Path != "/policies/cart/**" || *op.Kind != crdt.LWW {
		t.Errorf("%q at %s, want %q", op.Data, op.Path, want)
	}
}

// A rule that this version does not know, or that cannot be read, settles nothing, and lets no other rule settle what it is about.
func TestARuleThatIsNotUnderstoodWaitsForAPerson(t *testing.T) {
	for data, want := range map[string]Policy{"\x82\x01\x65onion": "onion", "\x82\x02\x65union": PolicyManual, "\x82\x01\x65union\x00": PolicyManual, "": PolicyManual} {
		book := newRuleBook([]PolicyRule{{"**", PolicyNewest}}).with([]crdt.Effect{{Path: "/policies/a/*", After: register(Content{Data: []byte(data)})}})
		_, settled, reason := book.viewOf("a/b", register(Text("1"), Text("2")))
		if got := book.policy("a/b"); got != want || settled || (want == "onion") != (reason != "") {
			t.Errorf("%q is read as %q: settled %v, %q", data, got, settled, reason)
		}
		if _, settled, _ := book.viewOf("b", register(Text("1"), Text("2"))); !settled {
			t.Errorf("%q concerns other paths", data)
		}
	}
}

// A record of a policy whose disk is damaged: whoever opens the store asks people about its paths. If the records cannot even be named,
// that goes for all paths.
func TestADamagedRuleWaitsForAPerson(t *testing.T) {
	a := newRig(t, "a")
	a.step(Write{Tag: 1, Ops: []WriteOp{PolicyRule{"**", PolicyNewest}.Op(), PolicyRule{"a/*", PolicyManual}.Op(), PolicyRule{"b/*", PolicyMax}.Op()}})
	a.spoilKey("/s/policies/b/*")
	book := loadRules(a.st)
	for path, want := range map[string]Policy{"c": PolicyNewest, "a/1": PolicyManual, "b/1": PolicyManual} {
		if got := book.policy(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	a.ds.Inject(func(op mem.Op, _ int) error {
		if op == mem.OpScan {
			return errors.New("a disk that fails")
		}
		return nil
	})
	if got := loadRules(a.st).policy("c"); got != PolicyManual {
		t.Errorf("of rules that cannot be read: %q", got)
	}
}
