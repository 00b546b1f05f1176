package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"goodcontrol/offchain"
	"goodcontrol/offchain/bai2"
	"goodcontrol/offchain/camt"
	"goodcontrol/offchain/mt535"
	"goodcontrol/offchain/semt"
)

// readers are the formats that parse reads.
var readers = map[string]func(io.Reader, string) (offchain.Result, error){
	"bai2":     bai2.Read,
	"camt.052": camt.ReadReport,
	"camt.053": camt.ReadStatement,
	"mt535":    mt535.Read,
	"mt536":    mt535.ReadTransactions,
	"semt.002": semt.Read,
}

func parseCommand() *cobra.Command {
	formats := slices.Sorted(maps.Keys(readers))
	c := &cobra.Command{
		Use: "parse FORMAT FILE", Short: "the statement as the node understands it", Args: cobra.ExactArgs(2),
		Long: "Parse reads a statement in one of the formats " + strings.Join(formats, ", ") + ".\n" +
			"What can be read but does not add up is valid with a flag; what cannot be trusted to have been read right is not.",
	}
	c.Flags().Bool("json", false, "print JSON (the only form)")
	c.RunE = func(c *cobra.Command, args []string) error {
		read, ok := readers[args[0]]
		if !ok {
			return fmt.Errorf("format %q, expected one of %s", args[0], strings.Join(formats, ", "))
		}
		f, err := os.Open(args[1])
		if err != nil {
			return err
		}
		defer f.Close()
		result, err := read(f, args[1])
		if err != nil {
			return err
		}
		if err := printJSON(c.OutOrStdout(), result); err != nil {
			return err
		}
		if !result.Valid() {
			return &answer{exitNo, result.Errors[0].Error()}
		}
		return nil
	}
	return c
}
