package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"syncline/crdt"
)

// settled counts the entries that a view settles. They lie in the store's index of conflicts, which knows no policies.
type settled struct {
	paths map[string]struct{}
	count atomic.Int64
}

// loadRules takes over the policies of the system map and looks at everything that competes.
func (s *Space) loadRules() error {
	s.rules.Store(loadRules(s.store))
	s.settled.paths = map[string]struct{}{}
	s.settled.count.Store(0)
	if len(s.rules.Load().rules) == 0 {
		return nil
	}
	for path, err := range s.store.Conflicts("", "") {
		if err != nil {
			return err
		}
		s.look(path)
	}
	return nil
}

// look notes whether a view settles the entry at path now.
func (s *Space) look(path string) {
	if reg, err := s.store.Get(path); err == nil {
		if _, ok, _ := s.rules.Load().viewOf(path, reg); ok {
			s.settled.paths[path] = struct{}{}
		} else {
			delete(s.settled.paths, path)
		}
	}
	s.settled.count.Store(int64(len(s.settled.paths)))
}

// settle follows changes of entries and policies. It returns the paths whose shown values may have changed: those given, and where a
// policy is among them all that compete.
func (s *Space) settle(paths []string) []string {
	policy := func(path string) bool { return strings.HasPrefix(path, policiesPrefix) }
	if !slices.ContainsFunc(paths, policy) {
		for _, path := range paths {
			if _, was := s.settled.paths[path]; was || s.rules.Load().policy(path) != PolicyManual {
				s.look(path)
			}
		}
		return paths
	}
	if err := s.loadRules(); err != nil {
		s.log.Warn("policies", "err", err)
	}
	paths = slices.Clone(paths)
	for path, err := range s.store.Conflicts("", "") {
		if err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

// open reports whether the register at path waits for a person.
func (s *Space) open(path string, reg crdt.Register) bool {
	_, settled, _ := s.rules.Load().viewOf(path, reg)
	return reg.Contending() > 0 && !settled
}

// shown returns the value that a plain read of path returns.
func (s *Space) shown(path string, reg crdt.Register) (crdt.Value, bool) {
	if v, ok, _ := s.rules.Load().viewOf(path, reg); ok {
		return v.value, true
	}
	return reg.Shown()
}

// Policies returns the policies of the space, the most specific pattern first, and their version, for [Space.SetPolicies].
func (s *Space) Policies(ctx context.Context) ([]PolicyRule, Version, error) {
	rules, _, version, err := s.policies()
	return rules, version, err
}

// policies reads the policies, and the version of each record, from the store.
func (s *Space) policies() ([]PolicyRule, map[string]Version, Version, error) {
	if err := s.ended(); err != nil {
		return nil, nil, "", err
	}
	whole := sha256.New()
	var rules []PolicyRule
	records := map[string]Version{}
	for e, err := range s.store.ListSystem(policiesPrefix, "") {
		if err != nil {
			return nil, nil, "", s.problem(err)
		}
		reg := crdt.Register{Live: e.Live}
		records[strings.TrimPrefix(e.Path, policiesPrefix)] = versionOf(reg)
		fmt.Fprintf(whole, "%s\x00%s\x00", e.Path, versionOf(reg)) // no path holds a NUL
		if rule, ok := readRule(e.Path, reg); ok {
			rules = append(rules, rule)
		}
	}
	slices.SortFunc(rules, compareSpecific)
	return rules, records, Version("v1." + hex.EncodeToString(whole.Sum(nil)[:8])), nil
}

// SetPolicy puts the paths that match a pattern under a policy, on all devices. If two devices change the policy of one pattern at the
// same time, the newer change counts. Entries that compete already are looked at anew. To set what holds already is no write, so that
// programs may do so whenever they start.
func (s *Space) SetPolicy(ctx context.Context, pattern string, p Policy) error {
	rule := PolicyRule{Pattern: pattern, Policy: p}
	rules, _, _, err := s.policies()
	if err != nil {
		return err
	}
	if slices.Contains(rules, rule) {
		return nil
	}
	others := slices.DeleteFunc(slices.Clone(rules), func(r PolicyRule) bool { return r.Pattern == pattern })
	if err := checkRules(append(others, rule), rules); err != nil {
		return err
	}
	_, err = s.write(ctx, Write{Ops: []WriteOp{rule.Op()}})
	return err
}

// UnsetPolicy removes the policy of a pattern. It returns [ErrNotFound] if the pattern has none.
func (s *Space) UnsetPolicy(ctx context.Context, pattern string) error {
	if p := checkPattern(pattern); p != nil {
		return p
	}
	_, records, _, err := s.policies()
	if err != nil {
		return err
	}
	if _, ok := records[pattern]; !ok {
		return errNoPolicy(pattern)
	}
	_, err = s.write(ctx, Write{Ops: []WriteOp{{Path: policiesPrefix + pattern, Delete: true, All: true, Idempotent: true}}})
	return err
}

func errNoPolicy(pattern string) *Problem {
	return ErrNotFound.With("the pattern %s has no policy", pattern).Next("peer policy lists them.")
}

// SetPolicies makes rules all the policies of the space, in one transaction. What is among them already is left as it is, also if this
// version does not know the policy. With a version, it fails with [ErrVersionMismatch] unless the policies are those that [Space.Policies]
// returned with it.
func (s *Space) SetPolicies(ctx context.Context, rules []PolicyRule, ifVersion Version) error {
	old, records, version, err := s.policies()
	if err != nil {
		return err
	}
	if err := checkRules(rules, old); err != nil {
		return err
	}
	if ifVersion != "" && ifVersion != version {
		p := ErrVersionMismatch.With("the policies are %s, you sent %s", version, ifVersion)
		p.Version = string(version)
		return p
	}
	var ops []WriteOp
	for _, r := range old {
		if !slices.ContainsFunc(rules, func(kept PolicyRule) bool { return kept.Pattern == r.Pattern }) {
			ops = append(ops, WriteOp{Path: policiesPrefix + r.Pattern, Delete: true, IfVersion: records[r.Pattern]})
		}
	}
	for _, r := range rules {
		if slices.Contains(old, r) {
			continue
		}
		op := r.Op()
		op.IfVersion = records[r.Pattern]
		op.IfAbsent = op.IfVersion == ""
		ops = append(ops, op)
	}
	if len(ops) == 0 {
		return nil
	}
	_, err = s.write(ctx, Write{Ops: ops})
	if p := new(Problem); err != nil {
		if p = ProblemOf(err); p.Code == ErrExists.Code || p.Code == ErrVersionMismatch.Code || p.Code == ErrNotFound.Code {
			return ErrVersionMismatch.With("the policies changed meanwhile")
		}
	}
	return err
}

// checkRules checks patterns, policies and their number. A policy that was there before may be one of a newer version.
func checkRules(rules, before []PolicyRule) error {
	if len(rules) > PoliciesMax {
		return ErrTooLarge.With("%d policies; the limit is %d", len(rules), PoliciesMax)
	}
	seen := map[string]bool{}
	for _, r := range rules {
		if p := checkPattern(r.Pattern); p != nil {
			return p
		}
		if p := r.Policy.check(); p != nil && !slices.Contains(before, r) {
			return p
		}
		if seen[r.Pattern] {
			return ErrBadRequest.With("the pattern %s occurs twice", r.Pattern)
		}
		seen[r.Pattern] = true
	}
	return nil
}
