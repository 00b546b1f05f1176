package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"goodcontrol/custody"
)

func idCommand() *cobra.Command {
	kinds := strings.Join(slices.Sorted(maps.Keys(custody.Identifiers())), ", ")
	c := &cobra.Command{Use: "id", Short: "identifiers of securities, tokens, firms, chains and accounts"}
	check := &cobra.Command{
		Use: "check KIND VALUE", Short: "check an identifier's form and check digits", Args: cobra.ExactArgs(2),
		Long: "Check says whether VALUE is a valid identifier of KIND, one of " + kinds + ".\n" +
			"It says nothing of whether anything is registered under it.",
	}
	check.RunE = func(c *cobra.Command, args []string) error {
		kind, value := args[0], args[1]
		valid, ok := custody.Identifiers()[kind]
		if !ok {
			return fmt.Errorf("kind %q, expected one of %s", kind, kinds)
		}
		if err := valid(value); err != nil {
			return &answer{exitNo, err.Error()}
		}
		_, err := fmt.Fprintf(c.OutOrStdout(), "%s %s: valid\n", kind, value)
		return err
	}
	return group(c, check)
}
