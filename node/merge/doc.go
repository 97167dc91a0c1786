// Package merge combines values that were made from one base, by what each of them changed of it: texts by lines, JSON by fields.
//
// The functions are deterministic, do not depend on the order of the values, and lose nothing: what was changed in two ways is an error
// that says where, never a choice. With the base itself among the values, the others decide.
package merge
