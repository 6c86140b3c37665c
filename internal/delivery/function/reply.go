package function

import "encoding/json"

// replyRecord is one answered record. Its bytes alias the reply.
type replyRecord struct {
	id, result, data []byte
	hasData          bool // false for null or nothing
	malformed        bool // a member has the wrong type
	checked          bool // data came through a JSON decoder: what is not base64 in it is not an escape
	partition        map[string]string
}

// scanReply reads an answer that is laid out as our handler does it, with room for n records. It is false if the answer must be
// read by decodeReply.
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
	s.ok = s.ok && seen&1 != 0 // without an id it is left out
	return r
}

// decodeReply reads any answer. A record of the wrong shape harms only itself; one whose id cannot be read is left out, so that
// it counts as missing.
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

// optional reads a member that may be absent. It is false if it has the wrong type.
func optional(raw json.RawMessage, v any) bool {
	return raw == nil || json.Unmarshal(raw, v) == nil
}
