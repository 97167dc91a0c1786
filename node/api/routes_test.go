package api

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"syncline/node"
)

// docs/reference/api.md lists every route, and no other.
func TestReferenceListsEveryRoute(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/api.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("routes.go")
	if err != nil {
		t.Fatal(err)
	}
	routes := map[string]bool{}
	for _, m := range regexp.MustCompile(`"((?:GET|PUT|POST|DELETE) /[^"]*)"`).FindAllStringSubmatch(string(source), -1) {
		routes[strings.ReplaceAll(m[1], "...}", "}")] = true
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:GET|PUT|POST|DELETE) /[^`]*)`").FindAllStringSubmatch(string(page), -1) {
		documented[m[1]] = true
	}
	for r := range routes {
		if !documented[r] {
			t.Errorf("api.md lacks %s", r)
		}
	}
	for r := range documented {
		if !routes[r] {
			t.Errorf("api.md lists %s, which is not served", r)
		}
	}
}

// docs/reference/errors.md lists every code that the HTTP layer adds.
func TestReferenceListsEveryCode(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	sources := []string{"problem.go", "client/client.go", "../problem.go"}
	for _, name := range sources {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`Code: "([a-z_]+)",`).FindAllStringSubmatch(string(b), -1) {
			if !strings.Contains(string(page), "| `"+m[1]+"`") {
				t.Errorf("errors.md lacks %s of %s", m[1], name)
			}
		}
	}
}

// Only the user who runs the server, and root, get through.
func TestOtherUsersAreRefused(t *testing.T) {
	for uid, want := range map[int]bool{os.Geteuid(): true, 0: true, os.Geteuid() + 1: false} {
		ctx := context.WithValue(context.Background(), callerKey{}, caller{uid: uid})
		err := checkCaller(ctx)
		if (err == nil) != want {
			t.Errorf("user %d: %v", uid, err)
		}
		if err != nil && node.ProblemOf(err).Status != http.StatusForbidden {
			t.Errorf("user %d: %v, want 403", uid, err)
		}
	}
}
