package record_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stagelog/stagelog/internal/record"
)

// The Regions of each partition, among them future ones, have the endpoints that the SDK gives them.
func TestPartitions(t *testing.T) {
	for _, tt := range []struct{ region, partition, suffix string }{
		{"eu-west-1", "aws", "amazonaws.com"},
		{"us-east-1", "aws", "amazonaws.com"},
		{"mx-central-9", "aws", "amazonaws.com"},
		{"cn-north-1", "aws-cn", "amazonaws.com.cn"},
		{"us-gov-west-1", "aws-us-gov", "amazonaws.com"},
		{"eusc-de-east-1", "aws-eusc", "amazonaws.eu"},
		{"eusc-de-west-7", "aws-eusc", "amazonaws.eu"},
		{"us-iso-west-1", "aws-iso", "c2s.ic.gov"},
		{"us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"},
		{"eu-isoe-west-1", "aws-iso-e", "cloud.adc-e.uk"},
		{"us-isof-south-1", "aws-iso-f", "csp.hci.ic.gov"},
	} {
		if got, suffix := record.Partition(tt.region), record.DNSSuffix(tt.region); got != tt.partition || suffix != tt.suffix {
			t.Errorf("%s is in %s with %s, want %s with %s", tt.region, got, suffix, tt.partition, tt.suffix)
		}
		gateway, err := apigateway.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), apigateway.EndpointParameters{Region: &tt.region})
		if err != nil {
			t.Fatal(err)
		}
		bucket, err := s3.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), s3.EndpointParameters{Region: &tt.region, Bucket: aws.String("logs")})
		if err != nil {
			t.Fatal(err)
		}
		for got, want := range map[string]string{gateway.URI.Host: "apigateway." + tt.region + "." + tt.suffix, bucket.URI.Host: "logs.s3." + tt.region + "." + tt.suffix} {
			if got != want {
				t.Errorf("the SDK's endpoint is %s, want %s", got, want)
			}
			if !record.OnAWS(got) {
				t.Errorf("OnAWS(%s) = false", got)
			}
		}
	}
	for _, host := range []string{"", "127.0.0.1", "localhost", "minio.example.com", "amazonaws.com.example.org", "notamazonaws.com"} {
		if record.OnAWS(host) {
			t.Errorf("OnAWS(%s) = true", host)
		}
	}
}
