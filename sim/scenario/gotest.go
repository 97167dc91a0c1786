package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// GoTest returns the source of a Go test that runs the scenario on package des and fails if any check does. check is the one that
// failed; the test is named after it. The source is a whole file of this module, formatted, for a directory of its own or for package sim_test.
func GoTest(s *Scenario, check string) string {
	var b strings.Builder
	b.WriteString("package sim_test\n\nimport (\n\t\"testing\"\n\n\t\"syncline/sim/des\"\n\t\"syncline/sim/scenario\"\n)\n\n")
	name := "Test" + camel(check) + camel(s.Name) + "Seed" + strconv.FormatUint(s.Seed, 10)
	fmt.Fprintf(&b, "// %s is what is left of a run that failed the check %q.\n//\n", name, check)
	for i, step := range Story(s) {
		fmt.Fprintf(&b, "//  %d. %s\n", i+1, oneLine(step))
	}
	fmt.Fprintf(&b, "func %s(t *testing.T) {\n\ts, err := scenario.Parse(%q, []byte(%s))\n", name, "scenario.toml", literal(string(s.TOML())))
	b.WriteString("\tif err != nil {\n\t\tt.Fatal(err)\n\t}\n\tfor _, v := range des.Run(s, des.Options{}).Violations {\n\t\tt.Error(v)\n\t}\n}\n")
	return b.String()
}

// camel makes part of an identifier of a text.
func camel(text string) string {
	var b strings.Builder
	start := true
	for _, r := range text {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			start = true
			continue
		case start:
			r = unicode.ToUpper(r)
		}
		start = false
		b.WriteRune(r)
	}
	return b.String()
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// literal writes a text as a Go literal that is easy to read, if there is one.
func literal(text string) string {
	if strconv.CanBackquote(strings.NewReplacer("\n", "", "\t", "").Replace(text)) {
		return "`\n" + text + "`"
	}
	return strconv.Quote(text)
}
