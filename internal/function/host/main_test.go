package host

import (
	"context"
	"os"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
)

type echo struct{}

func (echo) Invoke(_ context.Context, b []byte) ([]byte, error) { return b, nil }

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "bootstrap" {
		lambda.Start(echo{})
		return
	}
	os.Exit(m.Run())
}
