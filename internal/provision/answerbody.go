package provision

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// answerBody holds the body of an S3 error response. The SDK drops its <Detail> element.
type answerBody struct{ text []byte }

// maxAnswer is far more than an S3 error response needs.
const maxAnswer = 64 << 10

func (a *answerBody) keep(o *s3.Options) { o.HTTPClient = keepAnswer{o.HTTPClient, a} }

func (a *answerBody) detail() string {
	var parsed struct{ Detail string }
	if err := xml.Unmarshal(a.text, &parsed); err != nil {
		return ""
	}
	return strings.TrimSpace(parsed.Detail)
}

type keepAnswer struct {
	s3.HTTPClient
	answer *answerBody
}

func (k keepAnswer) Do(r *http.Request) (*http.Response, error) {
	res, err := k.HTTPClient.Do(r)
	if err != nil || res.StatusCode < http.StatusBadRequest {
		return res, err
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if closing := res.Body.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, err
	}
	k.answer.text = text
	res.Body = io.NopCloser(bytes.NewReader(text))
	return res, nil
}
