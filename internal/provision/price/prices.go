package price

// Date is when the list prices below were written down. AWS's own pages are what counts.
const Date = "2026-11-23"

// prices are a Region's list prices in US dollars, of on-demand use without free tiers,
// discounts and the lower prices of very large volumes.
type prices struct {
	firehoseGB float64 // of Direct PUT: https://aws.amazon.com/firehose/pricing/

	conversionGB float64 // of what comes in, counted as for firehoseGB, when its format is converted

	lambdaCall   float64 // https://aws.amazon.com/lambda/pricing/
	lambdaArm    float64 // a GB-second on arm64
	lambdaX86    float64 // and on x86_64
	s3Put        float64 // S3 Standard: https://aws.amazon.com/s3/pricing/
	s3Get        float64
	s3GBMonth    float64
	cloudWatchGB float64 // ingested: https://aws.amazon.com/cloudwatch/pricing/
}

// listed has the Regions whose prices are known. Elsewhere those of fallback count.
var listed = map[string]prices{
	fallback: {
		firehoseGB: 0.029, conversionGB: 0.018,
		lambdaCall: 0.20 / 1e6, lambdaArm: 0.0000133334, lambdaX86: 0.0000166667,
		s3Put: 0.005 / 1e3, s3Get: 0.0004 / 1e3, s3GBMonth: 0.023,
		cloudWatchGB: 0.50,
	},
	"eu-west-1": {
		firehoseGB: 0.031, conversionGB: 0.018, // of conversion, us-east-1's: no other was found
		lambdaCall: 0.20 / 1e6, lambdaArm: 0.0000133334, lambdaX86: 0.0000166667,
		s3Put: 0.005 / 1e3, s3Get: 0.0004 / 1e3, s3GBMonth: 0.023,
		cloudWatchGB: 0.57,
	},
}

// fallback is among the cheapest Regions.
const fallback = "us-east-1"
