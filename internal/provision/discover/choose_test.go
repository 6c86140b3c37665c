package discover

import (
	"strings"
	"testing"
)

func TestStageByName(t *testing.T) {
	api := func(id, name string) API { return API{id, name, "REST"} }
	f := Found{
		Stages: []Stage{
			{API: api("a1b2c3d4e5", "shop"), Name: "dev"}, {API: api("a1b2c3d4e5", "shop"), Name: "prod"},
			{API: api("zzzz999999", "pets/v2"), Name: "prod"},
			{API: api("twin1", "twin"), Name: "prod"}, {API: api("twin2", "twin"), Name: "prod"},
		},
		Undeployed: []API{api("b000000000", "bare")},
		Other:      []API{{"h111111111", "web", "HTTP"}, {"w111111111", "chat", "WEBSOCKET"}},
	}
	tests := []struct {
		wanted, want string
		text         []string // of the error
	}{
		{"a1b2c3d4e5/prod", "a1b2c3d4e5/prod", nil},
		{"shop/dev", "a1b2c3d4e5/dev", nil},
		{"pets/v2/prod", "zzzz999999/prod", nil},
		{"twin2/prod", "twin2/prod", nil},
		{"twin/prod", "", []string{"2 APIs have the name twin", "twin1, twin2"}},
		{"shop/prd", "", []string{"has no stage prd", "did you mean shop/prod?"}},
		{"shop/xxxxxxx", "", []string{"has no stage xxxxxxx", "a1b2c3d4e5/dev, a1b2c3d4e5/prod"}},
		{"shop", "", []string{"has no stage: expected api/stage", "a1b2c3d4e5/prod"}},
		{"a1b2c3d4f5/prod", "", []string{"API a1b2c3d4f5 not found", "did you mean a1b2c3d4e5 (shop)?"}},
		{"shpo/prod", "", []string{"did you mean a1b2c3d4e5 (shop)?"}},
		{"nothing-like-it/prod", "", []string{"API nothing-like-it not found", "zzzz999999/prod"}},
		{"bare/prod", "", []string{"never deployed", "create-deployment --rest-api-id b000000000"}},
		{"web/prod", "", []string{"is an HTTP API", "CloudWatch Logs", "HTTP proxy integration"}},
		{"w111111111/prod", "", []string{"is a WebSocket API"}},
	}
	for _, tt := range tests {
		got, err := f.Stage(tt.wanted)
		if (err == nil) != (tt.want != "") || err == nil && got.Ref().String() != tt.want {
			t.Errorf("Stage(%q) = %s, %v; want %q", tt.wanted, got.Ref(), err, tt.want)
			continue
		}
		for _, s := range tt.text {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("Stage(%q): %v; want %q", tt.wanted, err, s)
			}
		}
	}
	if _, err := (Found{}).Stage("shop/prod"); err == nil || !strings.Contains(err.Error(), "no REST API has a stage") {
		t.Errorf("Stage in an empty account: %v", err)
	}
}
