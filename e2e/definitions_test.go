package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	gatewaytypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/stagelog/stagelog/internal/testenv"
)

// Two processes share a NATS cluster. What a client defines, changes or deletes at one of them is used by the other without a
// restart, also after each NATS server was restarted.
func TestClusterSharesDefinitions(t *testing.T) {
	testenv.Need(t, testenv.Cluster)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	defer upstream.Close()
	storeDir := t.TempDir()
	write(t, storeDir, "stagelog.yaml", "name: store\nbucket: store-logs\n")
	store := startUp(t, storeDir, cleanEnv())
	c := startCluster(t)
	for i := range c.servers {
		c.start(i)
	}
	var nodes [2]*node
	var both sync.WaitGroup
	for i := range nodes {
		nodes[i] = &node{dir: t.TempDir(), env: store.clientEnv("stagelog"), args: []string{"--nats", c.url(), "--buffer-size", "1GiB", "--s3-endpoint", store.Endpoints.AWS}}
		write(t, nodes[i].dir, "stagelog.yaml", "name: hand\nbucket: hand-api-logs\ndeliver: {interval: 1s, size: 1MiB}\n")
		both.Go(func() { nodes[i].start(t) })
	}
	both.Wait()
	here, there := sdk(t, nodes[0].up, "stagelog"), sdk(t, nodes[1].up, "stagelog")

	const stream = "amazon-apigateway-shared"
	here.createStream(stream, "hand-api-logs", nil)
	api, key, plan := here.createAPI(upstream.URL, "arn:aws:firehose:us-east-1:000000000000:deliverystream/"+stream)
	accepted := 0
	call := func(n *node) int {
		status := n.up.call(t, "/"+api+"/prod/orders", *key.Value)
		if status == http.StatusOK {
			accepted++
		}
		return status
	}
	put := func(c awsClients, text string) bool {
		_, err := c.firehose.PutRecord(t.Context(), &firehose.PutRecordInput{DeliveryStreamName: aws.String(stream), Record: &types.Record{Data: []byte(text)}},
			func(o *firehose.Options) { o.RetryMaxAttempts = 1 })
		return err == nil
	}
	began := time.Now()
	reached := func(what string, ok func() bool) {
		t.Helper()
		eventually(t, what, ok)
		t.Logf("%s: %v", what, time.Since(began).Round(10*time.Millisecond))
	}
	reached("stage, key and plan at the other process", func() bool { return call(nodes[1]) == http.StatusOK })
	reached("stream at the other process", func() bool { return put(there, `{"requestId":"r1","from":"there"}`) })
	store1 := sdk(t, store, "stagelog")
	eventually(t, "the record to be delivered", func() bool { return len(store1.keys("hand-api-logs", "logs/")) > 0 })

	eventually(t, "the quota to be used up", func() bool { return call(nodes[0]) == http.StatusTooManyRequests })
	began = time.Now()
	reached("usage at the other process", func() bool {
		today := aws.String(time.Now().UTC().Format(time.DateOnly))
		usage := must(there.gateway.GetUsage(t.Context(), &apigateway.GetUsageInput{UsagePlanId: &plan, StartDate: today, EndDate: today}))(t, "get usage")
		return slices.Equal(usage.Items[*key.Id][0], []int64{int64(accepted), 0}) // above the quota if one process did not know the other's count yet
	})
	enable := func(c awsClients, to string) bool {
		_, err := c.gateway.UpdateApiKey(t.Context(), &apigateway.UpdateApiKeyInput{ApiKey: key.Id, PatchOperations: []gatewaytypes.PatchOperation{
			{Op: "replace", Path: aws.String("/enabled"), Value: &to}}})
		began = time.Now()
		return err == nil
	}
	if !enable(there, "false") {
		t.Fatal("the other process could not change the key")
	}
	reached("disabled key at the first process", func() bool { return call(nodes[0]) == http.StatusForbidden })
	for i := range c.servers {
		c.kill(i)
		c.start(i)
		enabled := i%2 == 0
		eventually(t, "a change after the restart of a NATS server", func() bool { return enable(here, fmt.Sprint(enabled)) })
		reached(fmt.Sprintf("changed key at the other process after the restart of server %d", i), func() bool {
			return (call(nodes[1]) != http.StatusForbidden) == enabled
		})
	}

	must(there.gateway.DeleteApiKey(t.Context(), &apigateway.DeleteApiKeyInput{ApiKey: key.Id}))(t, "delete the key")
	began = time.Now()
	reached("deleted key at the first process", func() bool { return call(nodes[0]) == http.StatusForbidden })
	must(there.gateway.DeleteRestApi(t.Context(), &apigateway.DeleteRestApiInput{RestApiId: &api}))(t, "delete the API")
	must(there.gateway.DeleteUsagePlan(t.Context(), &apigateway.DeleteUsagePlanInput{UsagePlanId: &plan}))(t, "delete the plan")
	must(there.firehose.DeleteDeliveryStream(t.Context(), &firehose.DeleteDeliveryStreamInput{DeliveryStreamName: aws.String(stream)}))(t, "delete the stream")
	began = time.Now()
	reached("deleted stream at the first process", func() bool { return !put(here, "late") })
	eventually(t, "the API to be gone", func() bool {
		list := must(here.gateway.GetRestApis(t.Context(), &apigateway.GetRestApisInput{}))(t, "list APIs")
		plans := must(here.gateway.GetUsagePlans(t.Context(), &apigateway.GetUsagePlansInput{}))(t, "list plans")
		return len(list.Items) == 0 && len(plans.Items) == 0
	})
	here.createStream(stream, "hand-api-logs", nil)
	eventually(t, "the stream to be back", func() bool { return put(there, `{"requestId":"r2","from":"there"}`) })
	eventually(t, "the record of the new stream to be delivered", func() bool { return len(store1.keys("hand-api-logs", "logs/")) > 1 })
	for _, n := range nodes {
		if err := n.up.stop(syscall.SIGTERM); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
}
