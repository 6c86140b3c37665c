package apigateway

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

const (
	defaultPage = 25
	maxPage     = 500
)

// page is the response of a list. Position is empty on the last page.
type page struct {
	Item     any    `json:"item"`
	Position string `json:"position,omitempty"`
}

// pageOf returns one page of items. orderOf returns a key that is unique in the list and never changes.
// The list is sorted by it, and a position is the key of the last item returned, so that items added or
// removed between two calls neither repeat nor skip others.
func pageOf[T, W any](c *call, items []T, orderOf func(T) string, wire func(T) W) (any, error) {
	limit, after, err := c.paging()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(items, func(a, b T) int { return strings.Compare(orderOf(a), orderOf(b)) })
	start := 0
	if after != "" {
		start, _ = slices.BinarySearchFunc(items, after+"\x00", func(it T, at string) int { return strings.Compare(orderOf(it), at) })
	}
	end := min(start+limit, len(items))
	out := make([]W, 0, end-start)
	for _, it := range items[start:end] {
		out = append(out, wire(it))
	}
	p := page{Item: out}
	if end < len(items) {
		p.Position = base64.RawURLEncoding.EncodeToString([]byte(positionMark + orderOf(items[end-1])))
	}
	return p, nil
}

// positionMark marks a valid position.
const positionMark = "p1."

// paging reads limit and position. A limit below 1 means the default: AWS accepts -1.
func (c *call) paging() (limit int, after string, err error) {
	limit = defaultPage
	if text := c.query("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0, "", serialization("the limit is not a number")
		}
		if n > 0 {
			limit = min(n, maxPage)
		}
	}
	if text := c.query("position"); text != "" {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		order, ours := strings.CutPrefix(string(raw), positionMark)
		if err != nil || !ours {
			return 0, "", badRequest("Invalid position parameter")
		}
		after = order
	}
	return limit, after, nil
}
