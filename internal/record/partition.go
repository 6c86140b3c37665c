package record

import "strings"

// partition is a group of Regions with accounts, ARNs and host names of its own.
type partition struct {
	regions string // how their names begin
	name    string // the second part of ARNs
	suffix  string // of the host names of AWS's endpoints
}

// partitions are those of the SDK's endpoint rules (aws-sdk-go-v2, internal/endpoints/awsrulesfn), which it does not export. A test
// compares the two. The last one is for all other Regions.
var partitions = []partition{
	{"cn-", "aws-cn", "amazonaws.com.cn"},
	{"us-gov-", "aws-us-gov", "amazonaws.com"},
	{"eusc-", "aws-eusc", "amazonaws.eu"},
	{"us-iso-", "aws-iso", "c2s.ic.gov"},
	{"us-isob-", "aws-iso-b", "sc2s.sgov.gov"},
	{"eu-isoe-", "aws-iso-e", "cloud.adc-e.uk"},
	{"us-isof-", "aws-iso-f", "csp.hci.ic.gov"},
	{"", "aws", "amazonaws.com"},
}

func partitionOf(region string) partition {
	for _, p := range partitions {
		if strings.HasPrefix(region, p.regions) {
			return p
		}
	}
	panic("BUG: no partition for all other Regions")
}

// Partition returns the AWS partition of a Region, the second part of its ARNs.
func Partition(region string) string { return partitionOf(region).name }

// DNSSuffix returns the end of the host names of AWS's endpoints in a Region.
func DNSSuffix(region string) string { return partitionOf(region).suffix }

// OnAWS reports whether a host is an endpoint of AWS, of any partition: public, for FIPS or in a VPC.
func OnAWS(host string) bool {
	for _, p := range partitions {
		if strings.HasSuffix(host, "."+p.suffix) {
			return true
		}
	}
	return false
}
