package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/stagelog/stagelog/internal/durable/awserr"
	"github.com/stagelog/stagelog/internal/provision/desired"
)

// recently is how far back errors are reported.
const recently = time.Hour

// checkErrorLog examines the error logging of the stream, and the errors logged recently.
func (r *run) checkErrorLog(ctx context.Context, s *stream) {
	const name = "error logging"
	log := s.to.CloudWatchLoggingOptions
	if log == nil || !aws.ToBool(log.Enabled) {
		group := desired.StreamLogGroup(s.name)
		r.out.problem(Warning, linkStream, name, finding{
			found: s.name + " does not log errors", cause: "error logging is off, which is the API's default",
			consequence: "when delivery fails, neither the failure nor its cause is logged",
			fix: r.repair(s, command("logs", "create-log-group", "--region", s.region, "--log-group-name", group)+" && "+
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
			found: fmt.Sprintf("the log stream %s in the log group %s does not exist", logStream, group), cause: "Firehose creates neither; only the AWS console does",
			consequence: "when delivery fails, neither the failure nor its cause is logged",
			fix: r.repair(s, command("logs", "create-log-group", "--region", s.region, "--log-group-name", group)+"; "+
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
	// Only a warning: the cause may have been fixed since.
	r.out.problem(Warning, linkStream, name, finding{
		found:       fmt.Sprintf("%d kinds of errors in the last hour, most recently: %s", len(errs), errs[len(errs)-1]),
		cause:       strings.Join(errs, "\n"),
		consequence: "records were not delivered; Firehose retries to put objects for 24 hours, and records that its function fails on go to the error output at once",
		fix:         "fix what the other checks report; to check that the errors have stopped: " + command("logs", "tail", group, "--region", s.region, "--since", "10m", "--follow"),
	})
}

// recentErrors returns the distinct errors of the last hour, the latest one last.
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
	return append(slices.DeleteFunc(all, func(t string) bool { return t == text }), text)
}

// firehoseError returns an event of Firehose's error log as one line. An event without an error
// code is not quoted, because it may contain record data.
func firehoseError(event string) string {
	var e struct {
		Code    string `json:"errorCode"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal([]byte(event), &e); err != nil || e.Code == "" {
		return "an event without an error code"
	}
	const longest = 300
	return e.Code + ": " + truncate(e.Message, longest)
}

// truncate returns text on one line, with at most longest characters.
func truncate(text string, longest int) string {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > longest {
		return string(r[:longest]) + "…"
	}
	return text
}

// checkFunctionErrors searches the function's log for errors reported by Lambda and for
// exception types. No line is quoted in full: functions print records, including keys.
func (r *run) checkFunctionErrors(ctx context.Context, s *stream, group string) {
	const name = "recent errors"
	out, err := r.c.Logs.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: &group, FilterPattern: aws.String(`?"Task timed out" ?"Runtime exited" ?"Runtime.ExitError" ?"[ERROR]" ?"errorType"`),
		StartTime: aws.Int64(time.Now().Add(-recently).UnixMilli()), Limit: aws.Int32(1000),
	})
	switch {
	case awserr.NotFound(err):
		r.out.ok(linkFunction, name, "none: the log group %s does not exist yet", group)
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
		consequence: "each such batch is tried four times, then all of its records go to the error output",
		fix:         "see the cause in the log: " + command("logs", "tail", group, "--region", s.region, "--since", "1h"),
	})
}

var lambdaErrors = regexp.MustCompile(`Task timed out after [0-9.]+ seconds|Runtime exited|Runtime\.ExitError|\[ERROR\] [A-Za-z]+|"errorType": ?"[A-Za-z.]+"`)
