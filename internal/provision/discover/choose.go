package discover

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/accesslog/nearest"
	"github.com/stagelog/stagelog/internal/provision"
)

// Stage finds the stage for "api/stage", where api is the id of an API, or its name if the name is unique. If it is not
// found, the error lists the choices and what to do.
func (f Found) Stage(wanted string) (Stage, error) {
	api, stage := wanted, ""
	if cut := strings.LastIndexByte(wanted, '/'); cut >= 0 { // API names may contain slashes, stage names cannot
		api, stage = wanted[:cut], wanted[cut+1:]
	}
	of, err := f.stagesOf(api)
	if err != nil {
		return Stage{}, err
	}
	var names, refs []string
	for _, st := range of {
		if st.Name == stage {
			return st, nil
		}
		names, refs = append(names, st.Name), append(refs, st.Ref().String())
	}
	if stage == "" {
		return Stage{}, fmt.Errorf("%s has no stage: expected api/stage, like one of %s", wanted, provision.Listed(refs))
	}
	if near, ok := nearest.Name(stage, names); ok {
		return Stage{}, fmt.Errorf("API %s has no stage %s, did you mean %s/%s?", of[0].API, stage, api, near)
	}
	return Stage{}, fmt.Errorf("API %s has no stage %s; its stages are %s", of[0].API, stage, provision.Listed(refs))
}

// stagesOf returns the stages, at least one, of the API with the id or name.
func (f Found) stagesOf(wanted string) ([]Stage, error) {
	var byID, byName []Stage
	ids := map[string]bool{} // of the APIs with that name
	for _, st := range f.Stages {
		if st.API.ID == wanted {
			byID = append(byID, st)
		}
		if st.API.Name == wanted {
			byName, ids[st.API.ID] = append(byName, st), true
		}
	}
	switch {
	case len(byID) > 0:
		return byID, nil
	case len(ids) > 1:
		return nil, fmt.Errorf("%d APIs have the name %s; use the id of one: %s", len(ids), wanted, provision.Listed(slices.Sorted(maps.Keys(ids))))
	case len(ids) == 1:
		return byName, nil
	}
	return nil, f.missing(wanted)
}

// missing explains why no stage was found for an API.
func (f Found) missing(wanted string) error {
	for _, a := range f.Undeployed {
		if wanted == a.ID || wanted == a.Name {
			return errors.New(Undeployed(a))
		}
	}
	for _, a := range f.Other {
		if wanted == a.ID || wanted == a.Name {
			return fmt.Errorf("API %s is %s: %s", a, Kind(a), OnlyREST)
		}
	}
	var ids, names, refs []string
	for _, st := range f.Stages {
		ids, names, refs = append(ids, st.API.ID), append(names, st.API.Name), append(refs, st.Ref().String())
	}
	for _, list := range [][]string{ids, names} {
		if near, ok := nearest.Name(wanted, list); ok {
			return fmt.Errorf("API %s not found, did you mean %s?", wanted, f.Stages[slices.Index(list, near)].API)
		}
	}
	if len(refs) == 0 {
		return fmt.Errorf("API %s not found, and no REST API has a stage", wanted)
	}
	return fmt.Errorf("API %s not found; the stages are %s", wanted, provision.Listed(refs))
}

// OnlyREST explains why other APIs cannot be logged, and what to use instead.
const OnlyREST = "it can log to CloudWatch Logs only, not to a delivery stream; " +
	"a REST API with an HTTP proxy integration can serve the same backend"

// Undeployed returns a message about an API that was never deployed, with the command that deploys it.
func Undeployed(a API) string {
	return fmt.Sprintf("API %s was never deployed and has no stage; create one with `aws apigateway create-deployment --rest-api-id %s --stage-name prod`", a, a.ID)
}

// Kind returns AWS's name for the kind of an API.
func Kind(a API) string {
	switch a.Protocol {
	case "HTTP":
		return "an HTTP API"
	case "WEBSOCKET":
		return "a WebSocket API"
	}
	return "a REST API"
}
