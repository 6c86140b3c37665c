package firehose

import (
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/stagelog/stagelog/internal/localaws/wire"
	"github.com/stagelog/stagelog/internal/record"
)

// Limits of a Lambda processor's buffer. NumberOfRetries has no known range: the service accepts 0 and 9.
const (
	maxProcessors    = 5
	minLambdaMB      = 0.2
	maxLambdaMB      = 3
	maxLambdaSeconds = int(record.MaxInterval / time.Second)
)

// lambdaARN matches a function with or without a qualifier. It need not exist.
var lambdaARN = regexp.MustCompile(`^arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[a-zA-Z0-9_-]{1,64}(:(\$LATEST|[a-zA-Z0-9_-]{1,128}))?$`)

// checkedProcessing checks a ProcessingConfiguration and fills in its defaults. Its messages, and their
// order, are the service's up to those about the Lambda processor.
func checkedProcessing(p *Processing, role string) (*Processing, *wire.Error) {
	if p == nil || !p.Enabled {
		return p, nil
	}
	if n := len(p.Processors); n < 1 || n > maxProcessors {
		return nil, invalid("A maximum of 5 and a minimum of 1 processor needs to be supplied when processing is enabled.")
	}
	out := &Processing{Enabled: true}
	lambdas := 0
	for _, proc := range p.Processors {
		seen := map[string]bool{}
		for _, param := range proc.Parameters {
			if seen[param.ParameterName] {
				return nil, invalid("Duplicate ProcessorParameter passed to ProcessingConfiguration.")
			}
			seen[param.ParameterName] = true
		}
		var err *wire.Error
		switch proc.Type {
		case "Lambda":
			if lambdas++; lambdas > 1 {
				return nil, invalid("Cannot have more than 1 Lambda processor.")
			}
			proc, err = filledLambda(proc, role)
		case "AppendDelimiterToRecord":
			err = checkDelimiter(proc)
		case "CloudWatchLogProcessing":
			if !p.has("Decompression") {
				err = invalid("CloudWatchLogProcessingProcessor can only be enabled with DecompressionProcessor")
				break
			}
			err = refused("the processor CloudWatchLogProcessing")
		default:
			err = refused("the processor " + proc.Type)
		}
		if err != nil {
			return nil, err
		}
		out.Processors = append(out.Processors, proc)
	}
	return out, nil
}

func (p *Processing) has(kind string) bool {
	return slices.ContainsFunc(p.Processors, func(proc Processor) bool { return proc.Type == kind })
}

// filledLambda returns a Lambda processor with its parameters in the service's order, and with the
// defaults that Describe shows.
func filledLambda(p Processor, role string) (Processor, *wire.Error) {
	arn, ok := p.get("LambdaArn")
	if !ok {
		return p, invalid("LambdaArn is required when Lambda processor is used.")
	}
	if !lambdaARN.MatchString(arn) {
		return p, invalid("Invalid lambda ARN.")
	}
	size, hasSize := p.get("BufferSizeInMBs")
	interval, hasInterval := p.get("BufferIntervalInSeconds")
	if hasSize != hasInterval {
		return p, invalid("Both BufferSizeInMBs and BufferIntervalInSeconds are required to configure buffering for lambda processor.")
	}
	if !hasSize {
		size, interval = strconv.Itoa(record.DefaultFunctionSizeMiB), strconv.Itoa(int(record.DefaultFunctionInterval.Seconds()))
	}
	if mb, err := strconv.ParseFloat(size, 64); err != nil || !(mb >= minLambdaMB && mb <= maxLambdaMB) {
		return p, invalid("BufferSizeInMBs of a Lambda processor must be a number from 0.2 to 3.")
	}
	if n, err := strconv.Atoi(interval); err != nil || n < 0 || n > maxLambdaSeconds {
		return p, invalid("BufferIntervalInSeconds of a Lambda processor must be a whole number from 0 to 900.")
	}
	retries, ok := p.get("NumberOfRetries")
	if !ok {
		retries = strconv.Itoa(record.DefaultFunctionRetries)
	}
	if n, err := strconv.Atoi(retries); err != nil || n < 0 {
		return p, invalid("NumberOfRetries of a Lambda processor must be a whole number.")
	}
	if given, ok := p.get("RoleArn"); ok {
		role = given
	}
	for _, param := range p.Parameters {
		switch param.ParameterName {
		case "LambdaArn", "NumberOfRetries", "RoleArn", "BufferSizeInMBs", "BufferIntervalInSeconds":
		default:
			return p, invalid("A Lambda processor has no parameter %s.", param.ParameterName)
		}
	}
	return Processor{Type: "Lambda", Parameters: []Parameter{
		{"LambdaArn", arn}, {"NumberOfRetries", retries}, {"RoleArn", role},
		{"BufferSizeInMBs", size}, {"BufferIntervalInSeconds", interval},
	}}, nil
}

// checkDelimiter accepts only a newline, in any notation: templates commonly use a backslash and an n.
func checkDelimiter(p Processor) *wire.Error {
	for _, param := range p.Parameters {
		if param.ParameterName != "Delimiter" {
			return invalid("An AppendDelimiterToRecord processor has no parameter %s.", param.ParameterName)
		}
		if v := param.ParameterValue; v != "\n" && v != `\n` && v != `\\n` {
			return refused("a Delimiter of AppendDelimiterToRecord that is not a newline (\\n)")
		}
	}
	return nil
}
