package testnet

// CheckFilled is tested by itself: no transaction is known that the pool holds
// for executable and the block builder leaves out.
var CheckFilled = checkFilled
