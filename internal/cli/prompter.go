package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// prompter asks questions at the terminal.
type prompter struct {
	in        *bufio.Reader // nil if stdin is not a terminal, or --json was given
	out       io.Writer
	assumeYes bool // --yes
	json      bool
}

func (e *env) prompter(assumeYes bool) *prompter {
	p := &prompter{out: e.stderr, assumeYes: assumeYes, json: e.json}
	if !e.json && isTerminal(e.stdin) {
		p.in = bufio.NewReader(e.stdin)
	}
	return p
}

// interactive reports whether choose and pick can ask.
func (p *prompter) interactive() bool { return p.in != nil && !p.assumeYes }

// confirm returns nil if the answer is "yes", or --yes was given.
func (p *prompter) confirm(question string) error {
	switch {
	case p.assumeYes:
		return nil
	case p.json:
		return usageError{errors.New("--json does not prompt; pass --yes to confirm")}
	case p.in == nil:
		return usageError{errors.New("stdin is not a terminal; pass --yes to confirm")}
	}
	answer, err := p.line(question + " Only \"yes\" is accepted: ")
	if err != nil {
		return err
	}
	if answer != "yes" {
		return errors.New("not confirmed; nothing was changed")
	}
	return nil
}

// choose asks until the answer is yes or no. An empty answer means no.
func (p *prompter) choose(question string) (bool, error) {
	for {
		answer, err := p.line(question + " [yes/no] ")
		if err != nil {
			return false, err
		}
		switch strings.ToLower(answer) {
		case "y", "yes":
			return true, nil
		case "n", "no", "":
			return false, nil
		}
	}
}

// pick asks for one or more of the numbers from 1 to n and returns their indexes, without duplicates.
func (p *prompter) pick(question string, n int) ([]int, error) {
	answer, err := p.line(question + " ")
	if err != nil {
		return nil, err
	}
	var picked []int
	for _, word := range strings.FieldsFunc(answer, func(r rune) bool { return r == ',' || r == ' ' }) {
		number, err := strconv.Atoi(word)
		if err != nil || number < 1 || number > n {
			return nil, fmt.Errorf("%q is not a number from 1 to %d; no file was written", word, n)
		}
		if !slices.Contains(picked, number-1) {
			picked = append(picked, number-1)
		}
	}
	if len(picked) == 0 {
		return nil, errors.New("nothing was selected; no file was written")
	}
	return picked, nil
}

func (p *prompter) line(prompt string) (string, error) {
	fmt.Fprint(p.out, prompt)
	answer, err := p.in.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	return strings.TrimSpace(answer), nil
}
