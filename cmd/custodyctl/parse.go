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
	"goodcontrol/offchain/layout"
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

// byLayout are the formats that are read by a layout.
var byLayout = []string{layout.CSV, layout.Position}

// readerOf is what reads a format, by the layout in a file if one is named.
func readerOf(format, file string) (func(io.Reader, string) (offchain.Result, error), error) {
	if read, ok := readers[format]; ok {
		if file != "" {
			return nil, fmt.Errorf("format %s has no layout; --layout is of %s", format, strings.Join(byLayout, " and "))
		}
		return read, nil
	}
	switch {
	case !slices.Contains(byLayout, format):
		all := append(slices.Sorted(maps.Keys(readers)), byLayout...)
		return nil, fmt.Errorf("format %q, expected one of %s", format, strings.Join(all, ", "))
	case file == "" && format == layout.Position:
		return layout.Neutral().Read, nil
	case file == "":
		return nil, fmt.Errorf("format %s needs --layout: the file that says what its columns are", format)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	l, err := layout.Load(f, file)
	if err != nil {
		return nil, err
	}
	return l.Read, nil
}

func parseCommand() *cobra.Command {
	formats := append(slices.Sorted(maps.Keys(readers)), byLayout...)
	c := &cobra.Command{
		Use: "parse FORMAT FILE", Short: "the statement as the node understands it", Args: cobra.ExactArgs(2),
		Long: "Parse reads a statement in one of the formats " + strings.Join(formats, ", ") + ".\n" +
			"The last two are read by a layout, a YAML file that says where each field stands (see offchain/layout); a\n" +
			"dtc-position without one is read by the neutral layout that comes with the program.\n" +
			"What can be read but does not add up is valid with a flag; what cannot be trusted to have been read right is not.",
	}
	c.Flags().Bool("json", false, "print JSON (the only form)")
	by := c.Flags().String("layout", "", "layout of a dtc-position or csv `file`")
	c.RunE = func(c *cobra.Command, args []string) error {
		read, err := readerOf(args[0], *by)
		if err != nil {
			return err
		}
		f, err := os.Open(args[1])
		if err != nil {
			return err
		}
		defer f.Close()
		result, err := printParsed(c.OutOrStdout(), f, args, read)
		if err != nil {
			return err
		}
		if !result.Valid() {
			return &answer{exitNo, result.Errors[0].Error()}
		}
		return nil
	}
	return c
}

// printParsed reads a file of a format and prints what it says.
func printParsed(w io.Writer, f *os.File, args []string, read func(io.Reader, string) (offchain.Result, error)) (offchain.Result, error) {
	info, err := f.Stat()
	if err != nil {
		return offchain.Result{}, err
	}
	if by := scans[args[0]]; by != nil && info.Mode().IsRegular() && info.Size() >= large {
		return printLarge(w, f, args[1], by)
	}
	result, err := read(f, args[1])
	if err != nil {
		return result, err
	}
	return result, printJSON(w, result)
}
