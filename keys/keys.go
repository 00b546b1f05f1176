// Package keys holds private keys that no one machine holds.
package keys
