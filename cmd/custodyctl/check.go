package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"

	"goodcontrol/chainwatch/evm"
	"goodcontrol/node/audit"
	"goodcontrol/reserve"
)

// The commands of this file need no node and no network: they judge files.

func verifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "verify FILE", Short: "check an auditor's package with no network and no node", Args: cobra.ExactArgs(1),
		Long: "Verify names each check, how many of how many held, and the first failing row. With --header it also\nholds the package's chain headers to one that you have from elsewhere: a block hash, or a file with one; with\n--verifier the key that signed where the journal ends; and with --checkpoint the journal to what was there when that was signed.",
	}
	headers := c.Flags().StringArray("header", nil, "a trusted block hash, or a file with a header (JSON-RPC object or RLP hex)")
	key := c.Flags().String("verifier", "", "the key that must have signed where the journal ends, as you know it from elsewhere (name+hash+key)")
	kept := c.Flags().StringArray("checkpoint", nil, "a checkpoint of the journal, signed with that key and kept from before; as often as needed")
	asJSON := c.Flags().Bool("json", false, "print the report as JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		trusted, err := trustedHashes(*headers)
		if err != nil {
			return err
		}
		o := audit.Options{Trusted: trusted, Key: *key}
		if len(*kept) > 0 {
			if o.Kept, err = (&checkpointFlags{files: *kept, keys: []string{*key}}).open(); err != nil {
				return asAnswer(err)
			}
		}
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		report, err := audit.Verify(f, info.Size(), o)
		if err != nil {
			return err
		}
		if *asJSON {
			err = printJSON(c.OutOrStdout(), report)
		} else {
			_, err = report.WriteTo(c.OutOrStdout())
		}
		if err == nil && !report.Valid {
			return &answer{code: exitNo}
		}
		return err
	}
	return c
}

// trustedHashes reads hashes as they are, and headers from files.
func trustedHashes(headers []string) ([]common.Hash, error) {
	var all []common.Hash
	for _, h := range headers {
		hash, err := parseHash(h)
		if err != nil {
			content, readErr := os.ReadFile(h)
			if readErr != nil {
				return nil, fmt.Errorf("--header %q: expected a block hash of 0x and 64 digits, or a file: %w", h, readErr)
			}
			header, parseErr := evm.ParseHeader(content)
			if parseErr != nil {
				return nil, fmt.Errorf("--header %s: %w", h, parseErr)
			}
			hash = header.Hash()
		}
		all = append(all, hash)
	}
	return all, nil
}

func parseHash(s string) (common.Hash, error) {
	var h common.Hash
	err := h.UnmarshalText([]byte(s))
	return h, err
}

func proofCommand() *cobra.Command {
	c := &cobra.Command{Use: "proof", Short: "proofs of accounts and storage"}
	check := &cobra.Command{Use: "verify FILE", Short: "check one raw eth_getProof result against one block header", Args: cobra.ExactArgs(1)}
	header := check.Flags().String("header", "", "block header: JSON-RPC block object or RLP hex; a bare {\"stateRoot\":…} is accepted")
	hash := check.Flags().String("trusted-hash", "", "the hash that the header must have")
	asJSON := check.Flags().Bool("json", false, "print the judgement as JSON")
	_ = check.MarkFlagRequired("header") // the flag is there
	check.RunE = func(c *cobra.Command, args []string) error {
		proof, headerFile, err := readTwo(args[0], *header)
		if err != nil {
			return err
		}
		var trusted *common.Hash
		if *hash != "" {
			h, err := parseHash(*hash)
			if err != nil {
				return fmt.Errorf("--trusted-hash %q: %w", *hash, err)
			}
			trusted = &h
		}
		return judged(c, evm.JudgeProof(proof, headerFile, trusted), *asJSON)
	}
	return group(c, check)
}

func blockCommand() *cobra.Command {
	c := &cobra.Command{Use: "block", Short: "blocks and their receipts"}
	check := &cobra.Command{Use: "verify", Short: "check header hash, bloom, receipts root, and every field that no trie binds", Args: cobra.NoArgs}
	header := check.Flags().String("header", "", "block header or block: JSON-RPC object")
	receipts := check.Flags().String("receipts", "", "result of eth_getBlockReceipts")
	asJSON := check.Flags().Bool("json", false, "print the judgement as JSON")
	_ = errors.Join(check.MarkFlagRequired("header"), check.MarkFlagRequired("receipts")) // the flags are there
	check.RunE = func(c *cobra.Command, _ []string) error {
		headerFile, receiptsFile, err := readTwo(*header, *receipts)
		if err != nil {
			return err
		}
		return judged(c, evm.JudgeBlock(headerFile, receiptsFile), *asJSON)
	}
	return group(c, check)
}

func readTwo(a, b string) (x, y []byte, err error) {
	if x, err = os.ReadFile(a); err != nil {
		return nil, nil, err
	}
	y, err = os.ReadFile(b)
	return x, y, err
}

// judged prints a judgement and makes it the exit code.
func judged(c *cobra.Command, j evm.Judgement, asJSON bool) error {
	var err error
	if asJSON {
		err = printJSON(c.OutOrStdout(), j)
	} else {
		for _, check := range j.Checks {
			mark := "FAIL"
			switch {
			case check.OK:
				mark = "ok  "
			case check.Skipped:
				mark = "skip"
			}
			if _, err = fmt.Fprintf(c.OutOrStdout(), "%s  %-20s %s\n", mark, check.Name, check.Detail); err != nil {
				return err
			}
		}
	}
	switch {
	case err != nil:
		return err
	case j.Unreadable:
		return errors.New(j.Reason)
	case !j.OK:
		return &answer{exitNo, j.Reason}
	}
	return nil
}

func reserveCommand() *cobra.Command {
	c := &cobra.Command{Use: "reserve", Short: "the reserve of Rule 15c3-3"}
	compute := &cobra.Command{Use: "compute FILE", Short: "compute from a line-item file", Args: cobra.ExactArgs(1)}
	asJSON := compute.Flags().Bool("json", false, "print the result as JSON")
	compute.RunE = func(c *cobra.Command, args []string) error {
		b, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		rules, place, err := theRules()
		if err != nil {
			return err
		}
		in, err := reserve.ParseLineItems(b)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		result, err := in.Compute(rules, place)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		if *asJSON {
			err = printJSON(c.OutOrStdout(), result)
		} else {
			err = printResult(c.OutOrStdout(), result)
		}
		if code := result.Status.ExitCode(); err == nil && code != exitHolds {
			return &answer{code: code}
		}
		return err
	}
	return group(c, compute, reportCommand())
}

func printResult(w io.Writer, r reserve.Result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s computation as of %s, %s method, %s, rules %s\n", r.Computation, r.AsOf, r.NetCapitalMethod, r.Frequency, r.RulePack)
	for _, l := range r.Lines {
		fmt.Fprintf(&b, "%-14s %-6s %20s  %s\n", l.Item, l.Side, l.Amount, l.Caption)
	}
	eligible := "not stated"
	if r.Eligible != nil {
		eligible = *r.Eligible
	}
	fmt.Fprintf(&b, "credits %s, debits %s less %s\nrequired %s, eligible on deposit %s, due by %s: %s\n",
		r.TotalCredits, r.AggregateDebitItems, r.DebitReduction, r.Required, eligible, r.DepositDueBy.Format(time.RFC3339), r.Status)
	_, err := io.WriteString(w, b.String())
	return err
}

// theRules are the rule packs and the clock of the reserve banks.
func theRules() (reserve.Rules, *time.Location, error) {
	rules, err := reserve.LoadRules()
	if err != nil {
		return reserve.Rules{}, nil, err
	}
	place, err := time.LoadLocation("America/New_York")
	return rules, place, err
}

func netCapitalCommand() *cobra.Command {
	c := &cobra.Command{Use: "netcapital", Short: "net capital under Rule 15c3-1"}
	compute := &cobra.Command{Use: "compute FILE", Short: "requirement, excess and early-warning levels", Args: cobra.ExactArgs(1)}
	compute.Flags().Bool("json", false, "print the result as JSON (the only form)")
	compute.RunE = func(c *cobra.Command, args []string) error {
		b, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		rules, _, err := theRules()
		if err != nil {
			return err
		}
		in, err := reserve.ParseNetCapital(b)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		result, err := in.Compute(rules)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		if err := printJSON(c.OutOrStdout(), result); err != nil {
			return err
		}
		if !result.Holds {
			return &answer{code: exitNo}
		}
		return nil
	}
	return group(c, compute)
}

func calendarCommand() *cobra.Command {
	c := &cobra.Command{Use: "calendar", Short: "days and deadlines"}
	deadline := &cobra.Command{Use: "deadline", Short: "when a deposit found to be required as of a day is due", Args: cobra.NoArgs}
	asOf := deadline.Flags().String("as-of", "", "the day, YYYY-MM-DD")
	asJSON := deadline.Flags().Bool("json", false, "print the deadline as JSON")
	_ = deadline.MarkFlagRequired("as-of") // the flag is there
	deadline.RunE = func(c *cobra.Command, _ []string) error {
		day, err := reserve.ParseDate(*asOf)
		if err != nil {
			return fmt.Errorf("--as-of: %w", err)
		}
		rules, place, err := theRules()
		if err != nil {
			return err
		}
		pack, err := rules.At(day)
		if err != nil {
			return fmt.Errorf("--as-of: %w", err)
		}
		d, err := reserve.Schedule{Banking: rules.Calendars.Banking, Place: place}.Deadline(day, pack)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), d)
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "as of %s: compute on %s, deposit by %s\n", d.AsOf, d.First, d.Due.Format(time.RFC3339))
		return err
	}
	return group(c, deadline)
}
