// Package table formats figures and untrusted text: aligned for terminals, safe for spreadsheets.
package table

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Column is one column of a table.
type Column struct {
	Head  string
	Right bool // right-aligned, for numbers
	Spare int  // on a narrow terminal, columns with the highest value are removed first; 0 always stays
	Cells []string
}

const (
	gap          = 2  // spaces between columns
	shortestText = 8  // minimum width of a shortened text
	longestText  = 60 // maximum width of a text
)

// Write writes columns of equal length. To fit into width cells, it leaves out columns by Spare and then shortens texts. 0 is
// no limit.
func Write(w io.Writer, columns []Column, width int) error {
	columns = slices.Clone(columns)
	for i := range columns {
		columns[i].Cells = slices.Clone(columns[i].Cells)
		columns[i].shorten(longestText)
	}
	if width > 0 {
		columns = fit(columns, width)
	}
	out := bufio.NewWriter(w)
	writeColumns(out, columns)
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

func writeColumns(out *bufio.Writer, columns []Column) {
	widths := make([]int, len(columns))
	rows := 0
	for i, c := range columns {
		widths[i], rows = c.width(), len(c.Cells)
	}
	line := func(cell func(Column) string) {
		var b strings.Builder
		for i, c := range columns {
			if i > 0 {
				b.WriteString(strings.Repeat(" ", gap))
			}
			text := cell(c)
			pad := strings.Repeat(" ", widths[i]-Width(text))
			if c.Right {
				b.WriteString(pad + text)
			} else {
				b.WriteString(text + pad)
			}
		}
		fmt.Fprintln(out, strings.TrimRight(b.String(), " "))
	}
	line(func(c Column) string { return c.Head })
	for i := range rows {
		line(func(c Column) string { return c.Cells[i] })
	}
}

func (c Column) width() int {
	width := Width(c.Head)
	for _, cell := range c.Cells {
		width = max(width, Width(cell))
	}
	return width
}

// shorten shortens the texts of a column to most cells.
func (c Column) shorten(most int) {
	if c.Right {
		return
	}
	for i, cell := range c.Cells {
		c.Cells[i] = Shorten(cell, most)
	}
}

// fit makes columns fit into width cells, if possible.
func fit(columns []Column, width int) []Column {
	total := func() int {
		sum := -gap
		for _, c := range columns {
			sum += c.width() + gap
		}
		return sum
	}
	for total() > width {
		spare := slices.MaxFunc(columns, func(a, b Column) int { return a.Spare - b.Spare })
		if spare.Spare == 0 {
			break
		}
		columns = slices.DeleteFunc(columns, func(c Column) bool { return c.Spare == spare.Spare })
	}
	for total() > width {
		widest := Column{}
		for _, c := range columns {
			if !c.Right && c.width() > widest.width() {
				widest = c
			}
		}
		if widest.width() <= max(shortestText, Width(widest.Head)) {
			break
		}
		widest.shorten(widest.width() - 1)
	}
	return columns
}

// Shown returns a log's value for a table. An empty value becomes "", in quotes, as it is not missing.
func Shown(value string) string {
	if value == "" {
		return `""`
	}
	return Printable(value)
}
