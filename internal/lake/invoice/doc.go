// Package invoice closes a month: what each API key used in each usage plan, and what that costs by a file of prices.
//
// A request belongs to the month in which it arrived, on the clock of a stated zone, and counts once, however often it was
// delivered. Objects delivered until some days after the month's end count; what comes later is counted and named, never
// billed in silence, and never in another month. Every request of the month is on a line: those without a customer, without a
// plan, or of a plan without a price have lines without an amount, which the invoice lists as problems.
//
// Money is exact: prices are decimals, sums are rational numbers, and each line is rounded once, as the price file says. The
// total is the sum of the rounded lines.
//
// An invoice carries a Manifest of what it was made from. Rebuild makes the same bytes from it again as long as the lake holds
// the same requests and the price file is the same; where they are not, Verify says what differs.
package invoice
