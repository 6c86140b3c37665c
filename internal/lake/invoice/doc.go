// Package invoice computes the invoice of a month: what each API key used in each usage plan, and what it costs according to a
// price file.
//
// A request belongs to the month in which it arrived, in a given time zone, and counts once, however often it was delivered.
// Objects delivered until a few days after the end of the month count. Later ones are reported, and never billed, neither in
// this month nor in another. Every request of the month is on a line. Requests without a customer, without a plan, or of a
// plan without a price are on lines without an amount, which the invoice lists as problems.
//
// Money is exact: prices are decimals, sums are rational numbers, and each line is rounded once, as the price file defines.
// The total is the sum of the rounded lines.
//
// An invoice has a Manifest of its inputs, from which Rebuild computes the same bytes again. If the requests in the lake or
// the price file have changed, Rebuild returns an error that lists the differences.
package invoice
