package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// recently is how far back errors count.
const recently = time.Hour

// checkErrorLog examines where Firehose writes what it could not deliver, and what stands there.
func (r *run) checkErrorLog(ctx context.Context, s *stream) {
	const name = "error logging"
	log := s.to.CloudWatchLoggingOptions
	if log == nil || !aws.ToBool(log.Enabled) {
		group := desired.StreamLogGroup(s.name)
		r.out.problem(Warning, linkStream, name, finding{
			found: s.name + " logs no errors", cause: "error logging is switched off, which is the default of the API",
			consequence: "when delivery fails, nothing says so or why",
			fix: r.mend(s, command("logs", "create-log-group", "--region", s.region, "--log-group-name", group)+" && "+
				command("logs", "create-log-stream", "--region", s.region, "--log-group-name", group, "--log-stream-name", desired.DeliveryLogStream)+" && "+
				s.updateDestination(map[string]any{"CloudWatchLoggingOptions": map[string]any{"Enabled": true, "LogGroupName": group, "LogStreamName": desired.DeliveryLogStream}})),
		})
		return
	}
	group, logStream := aws.ToString(log.LogGroupName), aws.ToString(log.LogStreamName)
	errs, err := r.recentErrors(ctx, group, logStream)
	switch {
	case awserr.NotFound(err):
		r.out.problem(Warning, linkStream, name, finding{
			found: fmt.Sprintf("there is no log stream %s in a log group %s", logStream, group), cause: "Firehose makes neither: only its console does",
			consequence: "when delivery fails, nothing says so or why",
			fix: r.mend(s, command("logs", "create-log-group", "--region", s.region, "--log-group-name", group)+"; "+
				command("logs", "create-log-stream", "--region", s.region, "--log-group-name", group, "--log-stream-name", logStream)),
		})
	case err != nil:
		r.unknown(linkStream, "recent errors", "the log group "+group, need{"logs:GetLogEvents", s.logARN(group) + ":log-stream:" + logStream}, err)
	default:
		r.out.ok(linkStream, name, "errors are written to %s, log stream %s", group, logStream)
		r.checkRecentErrors(s, group, errs)
	}
}

func (r *run) checkRecentErrors(s *stream, group string, errs []string) {
	const name = "recent errors"
	if len(errs) == 0 {
		r.out.ok(linkStream, name, "none in the last hour")
		return
	}
	// No failure: what happened within the hour may have been mended since.
	r.out.problem(Warning, linkStream, name, finding{
		found:       fmt.Sprintf("%d kinds of error in the last hour, the last: %s", len(errs), errs[len(errs)-1]),
		cause:       strings.Join(errs, "\n"),
		consequence: "records were not delivered; Firehose tries for 24 hours to put objects, what its function fails on goes to the error output at once",
		fix:         "mend what the other checks name; to see it stop: " + command("logs", "tail", group, "--region", s.region, "--since", "10m", "--follow"),
	})
}

// recentErrors are the different errors of the last hour, the last one last.
func (r *run) recentErrors(ctx context.Context, group, logStream string) ([]string, error) {
	out, err := r.c.Logs.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: &group, LogStreamName: &logStream,
		StartTime: aws.Int64(time.Now().Add(-recently).UnixMilli()), Limit: aws.Int32(1000),
	})
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range out.Events {
		if text := firehoseError(aws.ToString(e.Message)); text != "" {
			all = moveToEnd(all, text)
		}
	}
	return all, nil
}

func moveToEnd(all []string, text string) []string {
	for i, t := range all {
		if t == text {
			all = append(all[:i], all[i+1:]...)
			break
		}
	}
	return append(all, text)
}

// firehoseError is an event of Firehose's error log in one line. An event of another form is
// named and not quoted: it may hold anything.
func firehoseError(event string) string {
	var e struct {
		Code    string `json:"errorCode"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal([]byte(event), &e); err != nil || e.Code == "" {
		return "an event without an error code"
	}
	const longest = 300
	return e.Code + ": " + cut(e.Message, longest)
}

func cut(text string, longest int) string {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > longest {
		return string(r[:longest]) + "…"
	}
	return text
}

// checkFunctionErrors looks into the function's log for what Lambda itself says, and for the
// kind of an exception. No line is quoted whole: functions print records, keys included.
func (r *run) checkFunctionErrors(ctx context.Context, s *stream, group string) {
	const name = "recent errors"
	out, err := r.c.Logs.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: &group, FilterPattern: aws.String(`?"Task timed out" ?"Runtime exited" ?"Runtime.ExitError" ?"[ERROR]" ?"errorType"`),
		StartTime: aws.Int64(time.Now().Add(-recently).UnixMilli()), Limit: aws.Int32(1000),
	})
	switch {
	case awserr.NotFound(err):
		r.out.ok(linkFunction, name, "none: it has no log group %s yet", group)
		return
	case err != nil:
		r.unknown(linkFunction, name, "the function's log "+group, need{"logs:FilterLogEvents", s.logARN(group) + ":*"}, err)
		return
	}
	var kinds []string
	for _, e := range out.Events {
		if kind := lambdaErrors.FindString(aws.ToString(e.Message)); kind != "" {
			kinds = moveToEnd(kinds, kind)
		}
	}
	if len(kinds) == 0 {
		r.out.ok(linkFunction, name, "none in the last hour")
		return
	}
	r.out.problem(Warning, linkFunction, name, finding{
		found:       "in the last hour: " + strings.Join(kinds, "; "),
		cause:       "the function failed on batches",
		consequence: "each such batch is tried four times, and then all of its records are in the error output",
		fix:         "read why: " + command("logs", "tail", group, "--region", s.region, "--since", "1h"),
	})
}

var lambdaErrors = regexp.MustCompile(`Task timed out after [0-9.]+ seconds|Runtime exited|Runtime\.ExitError|\[ERROR\] [A-Za-z]+|"errorType": ?"[A-Za-z.]+"`)
