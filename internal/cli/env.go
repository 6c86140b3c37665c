package cli

import (
	"errors"
	"fmt"
	"path/filepath"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"

	"github.com/stagelog/stagelog/internal/provision"
)

func newEnv(e *env) *cobra.Command {
	var dir, profile string
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print the environment variables with which AWS clients use the pipeline on this machine",
		Long: `Prints the shell commands that set the environment of the AWS CLI, the AWS SDKs and Terraform, so that they call
the pipeline that "stagelog up" runs in this folder instead of AWS.`,
		Example: `  eval "$(stagelog env)"
  aws s3 ls s3://acme-api-logs/logs/ --recursive
  eval "$(stagelog env --as reader-111122223333)"   with the credentials of a reader`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := filepath.Abs(dir)
			if err != nil {
				return err
			}
			config, keys := filepath.Join(dir, "config"), filepath.Join(dir, "credentials")
			_, err = awsconfig.LoadSharedConfigProfile(cmd.Context(), profile, func(o *awsconfig.LoadSharedConfigOptions) {
				o.ConfigFiles, o.CredentialsFiles = []string{config}, []string{keys}
			})
			if unknown := (awsconfig.SharedConfigProfileNotExistError{}); errors.As(err, &unknown) {
				return fmt.Errorf("%s has no profile %s; run `stagelog up` in this folder first, or name its state with --dir", keys, profile)
			}
			if err != nil {
				return err
			}
			variables := [][2]string{{"AWS_CONFIG_FILE", config}, {"AWS_SHARED_CREDENTIALS_FILE", keys}, {"AWS_PROFILE", profile}}
			if e.json {
				all := map[string]string{}
				for _, v := range variables {
					all[v[0]] = v[1]
				}
				return printJSON(e.stdout, all)
			}
			for _, v := range variables {
				fmt.Fprintf(e.stdout, "export %s=%s\n", v[0], provision.ShellWord(v[1]))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", localState, "directory of the state, as for stagelog up")
	cmd.Flags().StringVar(&profile, "as", "stagelog", "profile: stagelog, or reader-ACCOUNT for one of the readers")
	return cmd
}
