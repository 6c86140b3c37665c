// Command misbehaving is a Lambda bootstrap that handles each batch as its first record requests in
// "do".
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

type record struct {
	RecordID string `json:"recordId"`
	Result   string `json:"result"`
	Data     string `json:"data,omitempty"`
}

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		if err := answer(api); err != nil {
			fmt.Fprintln(os.Stderr, "misbehaving:", err)
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
		Records []struct {
			RecordID string `json:"recordId"`
			Data     []byte `json:"data"`
		} `json:"records"`
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return err
	}
	var first struct {
		Do string `json:"do"`
	}
	if len(event.Records) > 0 {
		if err := json.Unmarshal(event.Records[0].Data, &first); err != nil {
			return err
		}
	}
	var out []record
	var raw struct {
		Records []struct{ Data string } `json:"records"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return err
	}
	for i, r := range event.Records {
		out = append(out, record{r.RecordID, "Ok", raw.Records[i].Data})
	}
	id := next.Header.Get("Lambda-Runtime-Aws-Request-Id")
	reply := func(what string, text []byte) error {
		res, err := http.Post(api+id+"/"+what, "application/json", bytes.NewReader(text))
		if err != nil {
			return err
		}
		return res.Body.Close()
	}
	switch first.Do {
	case "hang":
		time.Sleep(time.Hour)
	case "crash":
		os.Exit(7)
	case "throw":
		return reply("error", []byte(`{"errorMessage":"no","errorType":"Error"}`))
	case "garbage":
		return reply("response", []byte("this is no JSON"))
	case "empty":
		return reply("response", []byte("{}"))
	case "huge":
		out[0].Data = strings.Repeat("QUJD", 2<<20)
	case "forget":
		out = out[1:]
	case "twice":
		out = append(out, out[0])
	case "stranger":
		out = append(out, record{"0000", "Ok", out[0].Data})
	case "refuse":
		out[0].Result = "ProcessingFailed"
	case "drop":
		out[0].Result = "Dropped"
	case "other result":
		out[0].Result = "Maybe"
	case "no base64":
		out[0].Data = "***"
	case "no data":
		out[0].Data = ""
	}
	text, err := json.Marshal(map[string]any{"records": out})
	if err != nil {
		return err
	}
	return reply("response", text)
}
