package main

import (
	"errors"

	"github.com/spf13/cobra"

	"goodcontrol/cmd/custodyctl/demo"
)

func demoCommand() *cobra.Command {
	o := demo.Options{}
	c := &cobra.Command{
		Use:   "demo",
		Short: "the whole product on this machine, nothing else installed",
		Long: "Demo starts an Ethereum chain, three signing parties, a bank and a depository, and a node,\n" +
			"and takes them through a day. Without --run it asks before each step.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.In, o.Out, o.Err = c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
			err := demo.Run(c.Context(), o)
			if errors.Is(err, demo.ErrShown) {
				return &answer{exitNo, err.Error()}
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&o.Run, "run", "", `"all" plays every step without asking`)
	f.BoolVar(&o.JSON, "json", false, "print one JSON document with every step and the facts that prove it")
	f.StringVar(&o.Dir, "dir", "", "keep everything in this folder (default: a folder that is removed)")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:0", "address of the node's API")
	f.Uint64Var(&o.Seed, "seed", 1, "makes the chain's and the people's keys")
	return c
}
