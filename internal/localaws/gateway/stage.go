package gateway

import (
	"log/slog"
	"strings"

	"github.com/stagelog/stagelog/internal/accesslog"
	"github.com/stagelog/stagelog/internal/durable/failurelog"
	"github.com/stagelog/stagelog/internal/localaws/apigateway"
)

// stage is the compiled view of a stage. It is immutable except for failures.
type stage struct {
	view    *apigateway.StageView
	root    node
	stream  string // "": no access log to a stream
	format  *accesslog.Format
	apiID   []string // the x-amzn-apigateway-api-id header for the upstream
	metrics stageMetrics

	variables []variable // of format

	failures *failurelog.Log // of upstream calls
}

// route is one resource.
type route struct {
	id, path string
	methods  map[string]*method
}

// method is one method of a resource.
type method struct {
	apigateway.Method
	upstream *upstream // nil: the integration is invalid
}

// node is a segment of the resource tree.
type node struct {
	route    *route
	literals map[string]*node
	params   []*node // API Gateway allows one
	greedy   *route
}

// compile prepares a view for serving. It logs invalid integrations once; calls to them return 500.
func (g *Gateway) compile(view *apigateway.StageView) *stage {
	st := &stage{view: view, apiID: []string{view.APIID}, metrics: g.cfg.Metrics.stage(view.APIID, view.Stage)}
	log := g.log.With("api", view.APIID, "stage", view.Stage)
	st.failures = failurelog.New(log, slog.LevelWarn, "upstream call")
	for _, r := range view.Routes {
		rt := &route{id: r.ResourceID, path: r.Path, methods: make(map[string]*method, len(r.Methods))}
		var names []string
		for _, s := range r.Segments {
			if s.Param != "" {
				names = append(names, s.Param)
			}
		}
		for name, m := range r.Methods {
			up, err := newUpstream(m.Integration, names)
			if err != nil {
				log.Warn("integration invalid", "resource", r.Path, "method", name, "error", err)
			}
			rt.methods[name] = &method{Method: m, upstream: up}
		}
		st.root.insert(r.Segments, rt)
	}
	if !view.AccessLog.Enabled() {
		return st
	}
	stream, ok := view.AccessLog.Stream()
	if !ok {
		log.Warn("access log off: destination is not a delivery stream", "destination", view.AccessLog.DestinationARN)
		return st
	}
	format := accesslog.Parse(view.AccessLog.Format)
	st.stream, st.format = stream, format
	for _, v := range format.Variables() {
		st.variables = append(st.variables, variables[v])
	}
	return st
}

func (n *node) insert(segments []apigateway.Segment, r *route) {
	if len(segments) == 0 {
		if n.route == nil {
			n.route = r
		}
		return
	}
	s := segments[0]
	switch {
	case s.Greedy:
		if n.greedy == nil {
			n.greedy = r
		}
	case s.Param != "":
		child := &node{}
		child.insert(segments[1:], r)
		n.params = append(n.params, child)
	default:
		child := n.literals[s.Literal]
		if child == nil {
			child = &node{}
			if n.literals == nil {
				n.literals = map[string]*node{}
			}
			n.literals[s.Literal] = child
		}
		child.insert(segments[1:], r)
	}
}

// match finds the resource for the rest of an escaped path. It prefers a literal segment to a parameter and
// a parameter to a greedy one, and backtracks. Trailing slashes are ignored, as in API Gateway. It appends
// the values of the parameters, escaped as received, to params.
func (n *node) match(rest string, params []string) (*route, []string) {
	if rest == "" || strings.Trim(rest, "/") == "" {
		return n.route, params
	}
	segment, tail, _ := strings.Cut(rest, "/")
	if segment != "" {
		if child := n.literals[unescaped(segment)]; child != nil {
			if r, p := child.match(tail, params); r != nil {
				return r, p
			}
		}
		for _, child := range n.params {
			if r, p := child.match(tail, append(params, segment)); r != nil {
				return r, p
			}
		}
	}
	if n.greedy != nil {
		return n.greedy, append(params, rest)
	}
	return nil, params
}
