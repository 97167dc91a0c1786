package report_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"syncline/sim/oracle"
	"syncline/sim/report"
)

// TestEveryCheckHasAClaim: a person who reads what is broken gets it in plain words, and the table in docs/TESTING.md lists every check.
func TestEveryCheckHasAClaim(t *testing.T) {
	source, err := os.ReadFile("../oracle/report.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/TESTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n| Property | Check | Where |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	checks := regexp.MustCompile(`(?m)^\t\w+ +Check = "(.+?)"`).FindAllSubmatch(source, -1)
	if len(checks) < 30 {
		t.Errorf("the source names %d checks", len(checks))
	}
	for _, m := range checks {
		if check := oracle.Check(m[1]); report.Claim(check) == string(check) {
			t.Errorf("%s has no claim", check)
		}
		if !strings.Contains(table, "`"+string(m[1])+"`") {
			t.Errorf("the table in docs/TESTING.md lacks %s", m[1])
		}
	}
}
