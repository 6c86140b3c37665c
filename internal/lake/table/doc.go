// Package table formats figures and untrusted text: aligned for terminals, safe for spreadsheets.
package table
