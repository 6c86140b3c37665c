package function

import (
	"encoding/json"
	"fmt"
)

// decodeEvent parses any valid event with encoding/json.
func decodeEvent(event []byte) ([]eventRecord, error) {
	var in struct {
		Records []struct {
			ID   string  `json:"recordId"`
			Data *string `json:"data"`
		} `json:"records"`
	}
	if err := json.Unmarshal(event, &in); err != nil {
		return nil, fmt.Errorf("read transformation event: %w", withoutContent(err))
	}
	records := make([]eventRecord, len(in.Records))
	for i, r := range in.Records {
		records[i] = eventRecord{id: appendQuoted(nil, r.ID), checked: true}
		if r.Data != nil {
			records[i].data, records[i].hasData = []byte(*r.Data), true
		}
	}
	return records, nil
}

// withoutContent makes an error of encoding/json safe to log: its text may contain bytes or values of the input.
func withoutContent(err error) error {
	switch e := err.(type) {
	case *json.SyntaxError:
		return fmt.Errorf("not JSON at byte %d", e.Offset)
	case *json.UnmarshalTypeError:
		return fmt.Errorf("member %q is not a %s", e.Field, e.Type)
	}
	return fmt.Errorf("not JSON (%T)", err)
}

// appendQuoted appends s as a JSON string, without the quotes.
func appendQuoted(dst []byte, s string) []byte {
	if plainString([]byte(s)) {
		return append(dst, s...)
	}
	quoted, err := json.Marshal(s)
	if err != nil {
		panic("BUG: marshal a string: " + err.Error())
	}
	return append(dst, quoted[1:len(quoted)-1]...)
}
