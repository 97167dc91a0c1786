package sim

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"
)

// mergeFor returns the function for a path, nil if there is none.
func (c *Config) mergeFor(p string) MergeFunc {
	patterns := slices.SortedFunc(maps.Keys(c.Merge), func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	for _, pattern := range patterns {
		if matches(pattern, p) {
			return c.Merge[pattern]
		}
	}
	return nil
}

func matches(pattern, p string) bool {
	dir, below := strings.CutSuffix(pattern, "/**")
	if below {
		if segments := strings.Split(p, "/"); len(segments) > strings.Count(dir, "/")+1 {
			p = strings.Join(segments[:strings.Count(dir, "/")+1], "/")
		} else {
			return false
		}
	}
	ok, err := path.Match(dir, p)
	return err == nil && ok
}
