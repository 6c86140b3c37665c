package discover

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stagelog/stagelog/internal/accesslog/nearest"
)

// Stage is the stage that is meant by "api/stage", where api is an API's id, or its name if no
// other has it. Where there is none, the error says what there is and what to do.
func (f Found) Stage(wanted string) (Stage, error) {
	api, stage := wanted, ""
	if cut := strings.LastIndexByte(wanted, '/'); cut >= 0 { // names of APIs may have a slash, stages' have none
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
		return Stage{}, fmt.Errorf("%s names no stage: write api/stage; there is %s", wanted, listed(refs))
	}
	if near, ok := nearest.Name(stage, names); ok {
		return Stage{}, fmt.Errorf("the API %s has no stage %s: did you mean %s/%s?", of[0].API, stage, api, near)
	}
	return Stage{}, fmt.Errorf("the API %s has no stage %s: there is %s", of[0].API, stage, listed(refs))
}

// stagesOf are the stages, at least one, of the API of that id or name.
func (f Found) stagesOf(wanted string) ([]Stage, error) {
	var byID, byName []Stage
	ids := map[string]bool{} // of the APIs of that name
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
		return nil, fmt.Errorf("%d APIs have the name %s: write the id of one, %s", len(ids), wanted, listed(slices.Sorted(maps.Keys(ids))))
	case len(ids) == 1:
		return byName, nil
	}
	return nil, f.missing(wanted)
}

// missing says why an API has no stage that could be chosen.
func (f Found) missing(wanted string) error {
	for _, a := range f.Undeployed {
		if wanted == a.ID || wanted == a.Name {
			return fmt.Errorf("%s", Undeployed(a))
		}
	}
	for _, a := range f.Other {
		if wanted == a.ID || wanted == a.Name {
			return fmt.Errorf("the API %s is %s: %s", a, Kind(a), OnlyREST)
		}
	}
	var ids, names, refs []string
	for _, st := range f.Stages {
		ids, names, refs = append(ids, st.API.ID), append(names, st.API.Name), append(refs, st.Ref().String())
	}
	for _, list := range [][]string{ids, names} {
		if near, ok := nearest.Name(wanted, list); ok {
			return fmt.Errorf("there is no API %s: did you mean %s?", wanted, f.Stages[slices.Index(list, near)].API)
		}
	}
	if len(refs) == 0 {
		return fmt.Errorf("there is no API %s, and no stage of a REST API at all", wanted)
	}
	return fmt.Errorf("there is no API %s: the stages are %s", wanted, listed(refs))
}

// OnlyREST is what AWS does not allow, and what to use instead.
const OnlyREST = "AWS lets only stages of REST APIs log to a delivery stream, these to CloudWatch Logs alone; " +
	"a REST API can stand in front of the same backend, with an HTTP proxy integration"

// Undeployed says what to do about an API that was never deployed.
func Undeployed(a API) string {
	return fmt.Sprintf("the API %s was never deployed, so it has no stage: `aws apigateway create-deployment --rest-api-id %s --stage-name prod` makes one", a, a.ID)
}

// Kind is what AWS calls an API's kind.
func Kind(a API) string {
	switch a.Protocol {
	case "HTTP":
		return "an HTTP API"
	case "WEBSOCKET":
		return "a WebSocket API"
	}
	return "a REST API"
}

// maxListed keeps a message on a screen.
const maxListed = 8

func listed(names []string) string {
	if more := len(names) - maxListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxListed], ", "), more)
	}
	return strings.Join(names, ", ")
}
