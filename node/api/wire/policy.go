package wire

import "syncline/node"

// SchemaPolicies is the schema of the policies of a space.
const SchemaPolicies = "peer.policies/v1"

// Policies lists the policies of a space, the most specific pattern first. Version is the ETag of the list. Merges are the names of the
// merge functions that this device knows; another one may know others. A PUT needs Policies only.
type Policies struct {
	Schema   string   `json:"schema,omitempty"`
	Version  string   `json:"version,omitempty"`
	Policies []Policy `json:"policies"`
	Merges   []string `json:"merges,omitempty"`
}

// Policy puts the paths that match a pattern under a policy.
type Policy struct {
	Pattern string `json:"pattern"`
	Policy  string `json:"policy"`
}

// PoliciesOf returns the document for rules, of a device that knows these merge functions.
func PoliciesOf(rules []node.PolicyRule, v node.Version, merges []string) Policies {
	w := Policies{Schema: SchemaPolicies, Version: string(v), Policies: []Policy{}, Merges: merges}
	for _, r := range rules {
		w.Policies = append(w.Policies, Policy{Pattern: r.Pattern, Policy: string(r.Policy)})
	}
	return w
}

// Rules is the inverse of PoliciesOf.
func (p Policies) Rules() []node.PolicyRule {
	var rules []node.PolicyRule
	for _, w := range p.Policies {
		rules = append(rules, node.PolicyRule{Pattern: w.Pattern, Policy: node.Policy(w.Policy)})
	}
	return rules
}
