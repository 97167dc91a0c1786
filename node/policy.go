package node

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"syncline/crdt"
	"syncline/store"
)

// A Policy says what becomes of the Conflicts at a path.
type Policy string

// The policies that need no write: [PolicyManual] waits for a person, the others are views over the values that compete, which every
// device computes alike. [PolicyMerge] makes the ones that write.
const (
	// PolicyManual leaves the Conflict open; the newest value is shown meanwhile. It holds where no pattern matches.
	PolicyManual Policy = "manual"
	// PolicyNewest shows the newest value and asks nobody.
	PolicyNewest Policy = "newest"
	// PolicyMax and PolicyMin show the greatest and the least value: as numbers if all of them are numbers, else by their bytes.
	PolicyMax Policy = "max"
	PolicyMin Policy = "min"
	// PolicyUnion shows the elements of all values, each once and sorted: of JSON arrays, or else the lines of texts.
	PolicyUnion Policy = "union"
)

// PolicyHere stands, in a [Resolution], for the policy that holds at the path.
const PolicyHere Policy = "here"

const mergePrefix = "merge:"

// Policies whose merges every device can make, by what the values changed of their common base ([Conflict].Base): of JSON objects
// field by field, of texts line by line. If there is no Base, or something was changed in two ways, the Conflict stays open.
const (
	PolicyMergeJSON Policy = mergePrefix + "json"
	PolicyMergeText Policy = mergePrefix + "text"
)

// PolicyMerge returns the policy that combines the values with the function that was registered under name, see
// [Node.RegisterMerge].
func PolicyMerge(name string) Policy { return Policy(mergePrefix + name) }

// Merge returns the name of the merge function, and false if p is another policy.
func (p Policy) Merge() (name string, ok bool) { return strings.CutPrefix(string(p), mergePrefix) }

// plainPolicies are the policies without a name behind them.
var plainPolicies = []Policy{PolicyManual, PolicyNewest, PolicyMax, PolicyMin, PolicyUnion}

// mergeNameMax bounds the name of a merge function, in bytes.
const mergeNameMax = 64

// Check returns [ErrBadRequest], with what there is in the hint, unless p is a policy. That a merge function of its name is known somewhere
// it does not ask for.
func (p Policy) Check() error {
	if problem := p.check(); problem != nil {
		return problem
	}
	return nil
}

// check returns a Problem that lists what there is, unless p is a policy.
func (p Policy) check() *Problem {
	if slices.Contains(plainPolicies, p) {
		return nil
	}
	if name, ok := p.Merge(); ok {
		return checkMergeName(name)
	}
	var names []string
	for _, q := range plainPolicies {
		names = append(names, string(q))
	}
	return ErrBadRequest.With("there is no policy “%s”", p).Next("One of: " + strings.Join(names, ", ") + ", merge:json, merge:text, merge:NAME.")
}

// checkMergeName says whether a merge function can have a name: letters, digits, “-” and “_”.
func checkMergeName(name string) *Problem {
	odd := func(c rune) bool {
		return (c < 'a' || 'z' < c) && (c < 'A' || 'Z' < c) && (c < '0' || '9' < c) && c != '-' && c != '_'
	}
	if name == "" || len(name) > mergeNameMax || strings.ContainsFunc(name, odd) {
		return ErrBadRequest.With("“%s” cannot be the name of a merge function", name).
			Next("A name has 1 to 64 letters, digits, “-” and “_”.")
	}
	return nil
}

// A PolicyRule puts the paths that match a pattern under a policy.
//
// A pattern is written like a path. In it “*” stands for any characters within one segment, and a segment “**” for any number of
// whole segments, none included. Of all patterns that match a path the most specific one counts: the one with the most characters
// before its first “*”; among equals the one with the most characters other than “*”, then the one with the fewest “**”, then the
// one with the fewest “*”, then the first by its bytes.
type PolicyRule struct {
	Pattern string
	Policy  Policy
}

// policiesPrefix is where the system map keeps the policies, each under its pattern.
const policiesPrefix = "/policies/"

// PoliciesMax bounds the number of patterns in a space, PatternBytesMax the length of one.
const (
	PoliciesMax     = 256
	PatternBytesMax = crdt.PathBytesMax - len(policiesPrefix)
)

func checkPattern(pattern string) *Problem {
	bad := ErrBadRequest.Next("A pattern is written like a path; * stands for characters within one segment, a segment ** for any number of segments.")
	if len(pattern) > PatternBytesMax {
		return bad.With("the pattern has %d bytes; the limit is %d", len(pattern), PatternBytesMax)
	}
	if err := crdt.CheckPath(pattern); err != nil {
		return bad.With("“%.80s” cannot be a pattern: %v", pattern, err)
	}
	for segment := range strings.SplitSeq(pattern, "/") {
		if segment != "**" && strings.Contains(segment, "**") {
			return bad.With("the segment “%s” has ** beside other characters", segment)
		}
	}
	return nil
}

// policyRecord is a rule as it lies in the system map.
type policyRecord struct {
	_       struct{} `cbor:",toarray"`
	Version uint8
	Policy  string
}

// Op returns what to write, and where, to set the rule: [Space.SetPolicy] does it.
func (r PolicyRule) Op() WriteOp {
	data := crdt.Marshal(&policyRecord{Version: 1, Policy: string(r.Policy)})
	kind := crdt.LWW // of two changes of one policy the newer counts
	return WriteOp{Path: policiesPrefix + r.Pattern, Content: Content{Data: data, Type: MediaTypeBytes}, Kind: &kind, All: true}
}

// readRule reads the rule in a register of the system map. It reports false if there is none. A policy that this version does not know keeps
// its name and decides nothing, and a record that it cannot read counts as [PolicyManual]: the paths of either wait for a person, where a
// pattern that is less specific would settle what somebody meant to be asked about.
func readRule(path string, reg crdt.Register) (PolicyRule, bool) {
	pattern, ok := strings.CutPrefix(path, policiesPrefix)
	shown, live := reg.Shown()
	if !ok || !live || checkPattern(pattern) != nil {
		return PolicyRule{}, false
	}
	var rec policyRecord
	if crdt.Unmarshal(shown.Data, &rec) != nil || rec.Version != 1 {
		return PolicyRule{Pattern: pattern, Policy: PolicyManual}, true
	}
	return PolicyRule{Pattern: pattern, Policy: Policy(rec.Policy)}, true
}

// A ruleBook holds the rules of a space, the most specific first. It does not change: with returns another one.
type ruleBook struct {
	rules []PolicyRule
	split [][]string // the segments of each pattern
}

// newRuleBook puts rules in their order.
func newRuleBook(rules []PolicyRule) *ruleBook {
	b := &ruleBook{rules: slices.SortedFunc(slices.Values(rules), compareSpecific)}
	for _, r := range b.rules {
		b.split = append(b.split, strings.Split(r.Pattern, "/"))
	}
	return b
}

// merges reports whether a rule asks for a merge.
func (b *ruleBook) merges() bool {
	return slices.ContainsFunc(b.rules, func(r PolicyRule) bool { _, ok := r.Policy.Merge(); return ok })
}

// loadRules returns the rules that a store holds. Where the record of one is damaged, it may be any: its paths wait for a person. If it
// cannot even be told which are, all paths do.
func loadRules(st *store.Store) *ruleBook {
	var rules []PolicyRule
	for e, err := range st.ListSystem(policiesPrefix, "") {
		reg := crdt.Register{Live: e.Live}
		switch damage := new(store.CorruptError); {
		case errors.As(err, &damage) && damage.Path != "":
			reg.Live = make([]crdt.Value, 1) // which says nothing
		case err != nil:
			return newRuleBook(nil)
		}
		if rule, ok := readRule(e.Path, reg); ok {
			rules = append(rules, rule)
		}
	}
	return newRuleBook(rules)
}

// with returns the book after effects, itself if none of them is about a rule.
func (b *ruleBook) with(effects []crdt.Effect) *ruleBook {
	var changed map[string]bool // by pattern
	var rules []PolicyRule
	for _, e := range effects {
		pattern, ok := strings.CutPrefix(e.Path, policiesPrefix)
		if !ok {
			continue
		}
		if changed == nil {
			changed = map[string]bool{}
		}
		changed[pattern] = true
		if rule, ok := readRule(e.Path, e.After); ok {
			rules = append(rules, rule)
		}
	}
	if changed == nil {
		return b
	}
	for _, r := range b.rules {
		if !changed[r.Pattern] {
			rules = append(rules, r)
		}
	}
	return newRuleBook(rules)
}

// policy returns the policy at a path. System paths have none.
func (b *ruleBook) policy(path string) Policy {
	if len(b.rules) == 0 || crdt.IsSystemPath(path) {
		return PolicyManual
	}
	segments := strings.Split(path, "/")
	for i, pattern := range b.split {
		if matches(pattern, segments) {
			return b.rules[i].Policy
		}
	}
	return PolicyManual
}

// compareSpecific orders rules as PolicyRule says.
func compareSpecific(a, b PolicyRule) int {
	literal := func(p string) int { return len(p) - strings.Count(p, "*") }
	before := func(p string) int { before, _, _ := strings.Cut(p, "*"); return len(before) }
	return cmp.Or(
		cmp.Compare(before(b.Pattern), before(a.Pattern)),
		cmp.Compare(literal(b.Pattern), literal(a.Pattern)),
		cmp.Compare(strings.Count(a.Pattern, "**"), strings.Count(b.Pattern, "**")),
		cmp.Compare(strings.Count(a.Pattern, "*"), strings.Count(b.Pattern, "*")),
		strings.Compare(a.Pattern, b.Pattern))
}

// matches reports whether the segments of a pattern fit those of a path.
func matches(pattern, path []string) bool {
	return wild(pattern, path, func(p string) bool { return p == "**" }, func(p, s string) bool {
		return wild([]byte(p), []byte(s), func(c byte) bool { return c == '*' }, func(a, b byte) bool { return a == b })
	})
}

// wild matches s with a pattern in which a star stands for any number of elements. It only ever goes back to the last star, so that
// it takes at most len(pattern) × len(s) steps.
func wild[E any](pattern, s []E, star func(E) bool, fits func(p, e E) bool) bool {
	last, from := -1, 0 // the last star seen, and where in s what follows it was tried
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && star(pattern[p]):
			last, from = p, i
			p++
		case p < len(pattern) && fits(pattern[p], s[i]):
			p, i = p+1, i+1
		case last >= 0:
			from++
			p, i = last+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && star(pattern[p]) {
		p++
	}
	return p == len(pattern)
}
