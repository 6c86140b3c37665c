// Command partitioner is a minimal Lambda bootstrap that returns each record unchanged, with the
// partition key that the record names.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
)

type record struct {
	RecordID string         `json:"recordId"`
	Result   string         `json:"result"`
	Data     []byte         `json:"data"`
	Metadata map[string]any `json:"metadata,omitempty"`
}

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		if err := answer(api); err != nil {
			fmt.Fprintln(os.Stderr, "partitioner:", err)
			os.Exit(1)
		}
	}
}

func answer(api string) error {
	next, err := http.Get(api + "next")
	if err != nil {
		return err
	}
	body, err := io.ReadAll(next.Body)
	if err != nil {
		return err
	}
	var event struct {
		Records []record `json:"records"`
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return err
	}
	for i, r := range event.Records {
		var fields struct {
			Tenant string `json:"tenant"`
		}
		if err := json.Unmarshal(r.Data, &fields); err != nil {
			return err
		}
		event.Records[i].Result = "Ok"
		event.Records[i].Metadata = map[string]any{"partitionKeys": map[string]string{"tenant": fields.Tenant}}
	}
	reply, err := json.Marshal(event)
	if err != nil {
		return err
	}
	_, err = http.Post(api+next.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", bytes.NewReader(reply))
	return err
}
