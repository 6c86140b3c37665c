// Package table shows figures and texts of strangers to people: aligned in a terminal, safe in a spreadsheet.
package table
