package function

import "encoding/json"

// replyRecord is one record of a reply. Its bytes alias the reply.
type replyRecord struct {
	id, result, data []byte
	hasData          bool // false for null or absent
	malformed        bool // a member has the wrong type
	checked          bool // data is already decoded JSON, without escapes
	partition        map[string]string
}

// scanReply parses a reply in the layout of our handler, with capacity for n records. It returns false if decodeReply must parse
// the reply.
func scanReply(payload []byte, n int) ([]replyRecord, bool) {
	s := scanner{buf: payload, ok: true}
	records := make([]replyRecord, 0, n)
	var seen uint8
	s.members(func(key []byte) {
		if string(key) != "records" {
			s.ok = false
			return
		}
		s.once(&seen, 1)
		s.elements(func() { records = append(records, s.replyRecord()) })
	})
	return records, s.end()
}

func (s *scanner) replyRecord() (r replyRecord) {
	var seen uint8
	s.members(func(key []byte) {
		switch string(key) {
		case "recordId":
			s.once(&seen, 1)
			r.id = s.plain()
		case "result":
			s.once(&seen, 2)
			r.result = s.plain()
		case "data":
			s.once(&seen, 4)
			r.data, r.hasData = s.str(), true
		default:
			s.ok = false
		}
	})
	s.ok = s.ok && seen&1 != 0 // encoding/json handles records without an id
	return r
}

// decodeReply parses any reply. A malformed record does not affect others; one without a readable id is skipped and therefore
// counts as missing.
func decodeReply(payload []byte) ([]replyRecord, error) {
	var in struct {
		Records []json.RawMessage `json:"records"`
	}
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, withoutContent(err)
	}
	records := make([]replyRecord, 0, len(in.Records))
	for _, raw := range in.Records {
		var members struct {
			ID       json.RawMessage `json:"recordId"`
			Result   json.RawMessage `json:"result"`
			Data     json.RawMessage `json:"data"`
			Metadata json.RawMessage `json:"metadata"`
		}
		var id *string
		if json.Unmarshal(raw, &members) != nil || members.ID == nil || json.Unmarshal(members.ID, &id) != nil || id == nil {
			continue
		}
		var result string
		var data *string
		var metadata struct {
			PartitionKeys map[string]string `json:"partitionKeys"`
		}
		r := replyRecord{id: []byte(*id), checked: true}
		r.malformed = !optional(members.Result, &result) || !optional(members.Data, &data) || !optional(members.Metadata, &metadata)
		r.result, r.partition = []byte(result), metadata.PartitionKeys
		if data != nil {
			r.data, r.hasData = []byte(*data), true
		}
		records = append(records, r)
	}
	return records, nil
}

// optional parses a member that may be absent. It returns false if the member has the wrong type.
func optional(raw json.RawMessage, v any) bool {
	return raw == nil || json.Unmarshal(raw, v) == nil
}
