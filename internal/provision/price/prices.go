package price

// Date is the date of the list prices below. AWS's pages have the current prices.
const Date = "2026-11-23"

// prices are the list prices of a Region in US dollars for on-demand use, without free tiers,
// discounts and volume prices.
type prices struct {
	firehoseGB   float64 // Direct PUT: https://aws.amazon.com/firehose/pricing/
	conversionGB float64 // format conversion, billed on the same volume as firehoseGB
	lambdaCall   float64 // https://aws.amazon.com/lambda/pricing/
	lambdaArm    float64 // per GB-second on arm64
	lambdaX86    float64 // per GB-second on x86_64
	s3Put        float64 // S3 Standard: https://aws.amazon.com/s3/pricing/
	s3Get        float64
	s3GBMonth    float64
	cloudWatchGB float64 // ingestion: https://aws.amazon.com/cloudwatch/pricing/
	alarmMonth   float64 // on one metric, in standard resolution
	dashboard    float64 // per month
	kmsRequest   float64 // https://aws.amazon.com/kms/pricing/
}

// listed has the known prices by Region. Other Regions use those of fallback.
var listed = map[string]prices{
	fallback: {
		firehoseGB: 0.029, conversionGB: 0.018,
		lambdaCall: 0.20 / 1e6, lambdaArm: 0.0000133334, lambdaX86: 0.0000166667,
		s3Put: 0.005 / 1e3, s3Get: 0.0004 / 1e3, s3GBMonth: 0.023,
		cloudWatchGB: 0.50, alarmMonth: 0.10, dashboard: 3, kmsRequest: 0.03 / 1e4,
	},
	"eu-west-1": {
		firehoseGB: 0.031, conversionGB: 0.018, // conversion: the price of us-east-1, because no other is known
		lambdaCall: 0.20 / 1e6, lambdaArm: 0.0000133334, lambdaX86: 0.0000166667,
		s3Put: 0.005 / 1e3, s3Get: 0.0004 / 1e3, s3GBMonth: 0.023,
		cloudWatchGB: 0.57, alarmMonth: 0.10, dashboard: 3, kmsRequest: 0.03 / 1e4,
	},
}

// fallback is one of the cheapest Regions.
const fallback = "us-east-1"
