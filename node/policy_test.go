package node

import (
	"slices"
	"strings"
	"testing"

	"syncline/crdt"
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

// The bytes of a rule in the system map, as docs/PROTOCOL.md has them: an array of the version and the policy.
func TestRulesHaveOneEncoding(t *testing.T) {
	op := PolicyRule{"cart/**", PolicyUnion}.Op()
	if want := "\x82\x01\x65union"; string(op.Data) != want || op.Path != "/policies/cart/**" || *op.Kind != crdt.LWW {
		t.Errorf("%q at %s, want %q", op.Data, op.Path, want)
	}
	for _, data := range []string{"\x82\x02\x65union", "\x82\x01\x65onion", "\x82\x01\x65union\x00", ""} {
		reg := register(Content{Data: []byte(data)})
		if rule, ok := readRule("/policies/a", reg); ok {
			t.Errorf("%q is read as %v", data, rule)
		}
	}
}
