package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// Decode reads one JSON object, and nothing after it, into doc. It refuses what it does not understand, and a field that is there twice: what
// is silently skipped is data that is silently lost. Its errors are for people, and say where the fault is.
func Decode(b []byte, doc any) error {
	if err := checkText(b); err != nil {
		return err
	}
	if bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		return errors.New("it is not a JSON object but null")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(doc); err != nil {
		return fault(b, err)
	}
	end := d.InputOffset()
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("more follows after the object, %s", place(b, end))
	}
	return checkFields(json.NewDecoder(bytes.NewReader(b)), b)
}

// checkFields refuses what encoding/json passes over in JSON that it can read: a field that is there twice, of which it takes the last, and a
// null in a list. What stands under “value” is data, and may say what it likes.
func checkFields(d *json.Decoder, b []byte) error {
	t, _ := d.Token()
	var seen []string
	for d.More() && (t == json.Delim('{') || t == json.Delim('[')) {
		at := d.InputOffset()
		at += int64(len(b[at:]) - len(bytes.TrimLeft(b[at:], ", \t\r\n")))
		if t == json.Delim('[') {
			if bytes.HasPrefix(b[at:], []byte("null")) {
				return fmt.Errorf("null cannot stand %s", place(b, at))
			}
			if err := checkFields(d, b); err != nil {
				return err
			}
			continue
		}
		key, _ := d.Token()
		name, _ := key.(string)
		if slices.ContainsFunc(seen, func(other string) bool { return strings.EqualFold(other, name) }) { // a letter may be a capital
			return fmt.Errorf("the field %q is there twice, the second time %s", name, place(b, at))
		}
		seen = append(seen, name)
		if strings.EqualFold(name, "value") {
			var data json.RawMessage
			d.Decode(&data)
		} else if err := checkFields(d, b); err != nil {
			return err
		}
	}
	if t == json.Delim('{') || t == json.Delim('[') {
		d.Token()
	}
	return nil
}

// CheckJSON says of text that is to be one JSON value where it is not.
func CheckJSON(b []byte) error {
	if err := checkText(b); err != nil {
		return err
	}
	var any json.RawMessage
	return fault(b, json.Unmarshal(b, &any))
}

// checkText refuses what encoding/json would change in silence or not explain.
func checkText(b []byte) error {
	switch {
	case bytes.HasPrefix(b, []byte("\ufeff")):
		return errors.New("it begins with a byte order mark; save it without one")
	case !utf8.Valid(b):
		return errors.New("it is not valid UTF-8")
	}
	return nil
}

// fault says in our words what encoding/json found wrong with b.
func fault(b []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var bad base64.CorruptInputError
	switch {
	case err == nil:
		return nil
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &syntax) && int(syntax.Offset) >= len(b) && strings.HasPrefix(err.Error(), "unexpected end"):
		return errors.New("the JSON ends too early")
	case errors.As(err, &syntax):
		at := max(syntax.Offset-1, 0)
		r, _ := utf8.DecodeRune(b[at:])
		return fmt.Errorf("it is no JSON: %q cannot stand %s", r, place(b, at))
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Errorf("it is not a JSON object but %s", nameOf(kind.Value))
	case errors.As(err, &kind):
		field := strings.ReplaceAll(kind.Field, "Body.", "") // what is embedded in Go has no name in JSON
		return fmt.Errorf("%s is %s, and must be %s", field, nameOf(kind.Value), nameOfType(kind.Type))
	case errors.As(err, &bad):
		return fmt.Errorf("value_base64 is no Base64, from its byte %d on", int64(bad)+1)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("there is no field %s", name)
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

// place says where the byte at an offset is, as people count.
func place(b []byte, offset int64) string {
	before := b[:min(int(offset), len(b))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	if !bytes.Contains(bytes.TrimRight(b, "\n"), []byte("\n")) {
		return fmt.Sprintf("at column %d", column)
	}
	return fmt.Sprintf("at line %d, column %d", line, column)
}

// nameOf is a kind of JSON value as encoding/json calls it, with its article.
func nameOf(value string) string {
	word, _, _ := strings.Cut(value, " ") // "number 1.5"
	switch word {
	case "array", "object":
		return "an " + word
	case "bool":
		return "true or false"
	}
	return "a " + word
}

// nameOfType is the kind of JSON value that fits a Go type.
func nameOfType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return nameOfType(t.Elem())
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "a string"
		}
		return "an array"
	}
	return "a number"
}
