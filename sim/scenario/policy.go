package scenario

// Policies are those that an operation with DoPolicy may name.
var Policies = []string{"manual", "newest", "max", "min", "union"}
