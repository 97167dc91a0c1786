package node

import (
	"context"
	"errors"

	"syncline/node/merge"
)

// builtinMerges are the merge functions that every device has.
var builtinMerges = map[string]*mergeFunction{
	"json": newMergeFunction("json", mergeJSON, true),
	"text": newMergeFunction("text", mergeText, true),
}

// cannotMerge is why a built-in merge leaves a Conflict open. It is for people, and needs no words about the function.
type cannotMerge struct{ error }

// mergeText merges the values by lines.
func mergeText(ctx context.Context, c Conflict) (Content, error) {
	base, values, err := sides(c)
	if err != nil {
		return Content{}, err
	}
	texts := make([]string, len(values))
	for i, v := range values {
		if !v.IsText() {
			return Content{}, cannotMerge{errors.New("one of the values is not text")}
		}
		texts[i] = string(v.Data)
	}
	switch {
	case c.Base.ID == "":
		return Content{}, cannotMerge{errors.New("the texts were begun apart, where there was nothing")}
	case !base.IsText():
		return Content{}, cannotMerge{errors.New("the value that they were made from is not text")}
	}
	text, err := merge.Text(ctx, string(base.Data), texts)
	if err != nil {
		return Content{}, cannotMerge{err}
	}
	return contentOf(base, values, []byte(text))
}

// mergeJSON merges the values by the fields of their objects.
func mergeJSON(ctx context.Context, c Conflict) (Content, error) {
	base, values, err := sides(c)
	if err != nil {
		return Content{}, err
	}
	texts := make([][]byte, len(values))
	for i, v := range values {
		texts[i] = v.Data
	}
	from := base.Data
	if c.Base.ID == "" {
		from = nil
	}
	data, err := merge.JSON(ctx, from, texts)
	if err != nil {
		return Content{}, cannotMerge{err}
	}
	return contentOf(base, values, data)
}

// sides returns what a three-way merge is made of.
func sides(c Conflict) (base Content, values []Content, err error) {
	if c.Base == nil {
		return Content{}, nil, cannotMerge{errors.New(c.BaseReason)}
	}
	for _, v := range c.Values {
		values = append(values, v.Content)
	}
	return c.Base.Content, values, nil
}

// contentOf returns merged data with the media type that the values come to: theirs, or the one that some of them changed it to.
func contentOf(base Content, values []Content, data []byte) (Content, error) {
	out := Content{Data: data, Type: base.Type}
	for _, v := range values {
		switch {
		case v.Type == base.Type || v.Type == out.Type:
		case out.Type == base.Type:
			out.Type = v.Type
		default:
			return Content{}, cannotMerge{errors.New("the values have different media types")}
		}
	}
	return out, nil
}
