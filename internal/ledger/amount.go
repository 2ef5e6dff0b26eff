package ledger

import (
	"fmt"
	"strconv"
)

// Amount is money in minor units (kopecks, cents) of the unit it is kept in.
// It is never a floating-point number.
type Amount int64

// String returns the amount in major units with two decimals: 1850 is "18.50".
func (a Amount) String() string {
	sign, n := "", uint64(a) //nolint:gosec // the sign is taken off below, also of the smallest value
	if a < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf("%s%d.%02d", sign, n/100, n%100)
}

// UserID names a person by Telegram's id.
type UserID int64

// String returns the id in decimal digits.
func (u UserID) String() string { return strconv.FormatInt(int64(u), 10) }
