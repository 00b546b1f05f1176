package pacs

import (
	"fmt"
	"io"
	"regexp"
	"time"

	"goodcontrol/offchain"
	"goodcontrol/offchain/isoxml"
)

// uetr is the form of a UUID of version 4, in small letters as the schema has it.
var uetr = regexp.MustCompile(`^[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[89ab][a-f0-9]{3}-[a-f0-9]{12}$`)

// envelope is the element around header and document. It has no namespace: each of
// the two has its own.
const envelope = "Envelope"

// marketPractice is the registry that Fedwire's usage of the header names.
const marketPractice = "www2.swift.com/mystandards/#/group/Federal_Reserve_Financial_Services/Fedwire_Funds_Service"

// WriteTransfer writes a payment, with its business header.
func WriteTransfer(w io.Writer, t Transfer) error {
	x := isoxml.NewWriter(w)
	if err := t.check(); err != nil {
		x.Fail("%w", err)
	}
	x.In(envelope, func() {
		header(x, t.From.Bank, t.To.Bank, t.ID, TransferMessage, t.Created)
		x.Raw(`<Document xmlns="` + isoxml.NamespacePrefix + TransferMessage + `"><FICdtTrf>` + "\n")
		x.In("GrpHdr", func() {
			x.Text("MsgId", t.ID, isoxml.Max35)
			x.Raw("<CreDtTm>" + t.Created.Format(time.RFC3339) + "</CreDtTm><NbOfTxs>1</NbOfTxs>")
			x.Raw("<SttlmInf><SttlmMtd>CLRG</SttlmMtd><ClrSys><Cd>FDW</Cd></ClrSys></SttlmInf>")
		})
		x.In("CdtTrfTxInf", func() { t.write(x) })
		x.Raw("</FICdtTrf></Document>\n")
	})
	if err := x.Finish(); err != nil {
		return fmt.Errorf("writing %s %s: %w", TransferMessage, t.ID, err)
	}
	return nil
}

func (t Transfer) check() error {
	switch {
	case !uetr.MatchString(t.UETR):
		return fmt.Errorf("UETR %q, expected a UUID of version 4 in small letters", t.UETR)
	case !t.Amount.Given || t.Amount.Value.Sign() <= 0:
		return fmt.Errorf("amount %q, expected more than zero", t.Amount)
	case !t.Settle.Given():
		return fmt.Errorf("no settlement date")
	case !t.Created.Equal(t.Created.Truncate(time.Second)) || t.Created.IsZero():
		return fmt.Errorf("created %s, expected whole seconds", t.Created)
	case t.From.Bank == t.To.Bank && t.From.Account == t.To.Account:
		return fmt.Errorf("account %s to itself", t.From.Account)
	}
	for _, p := range []Party{t.From, t.To} {
		if err := CheckRouting(p.Bank); err != nil {
			return err
		}
	}
	return nil
}

func (t Transfer) write(x *isoxml.Writer) {
	x.In("PmtId", func() {
		x.Text("InstrId", t.EndToEnd, isoxml.Max35)
		x.Text("EndToEndId", t.EndToEnd, isoxml.Max35)
		x.Raw("<UETR>" + t.UETR + "</UETR>")
	})
	x.Raw("<PmtTpInf><LclInstrm><Prtry>BTRC</Prtry></LclInstrm></PmtTpInf>\n") // bank transfer
	x.Amount("IntrBkSttlmAmt", t.Amount, t.Currency)
	x.Raw("<IntrBkSttlmDt>" + t.Settle.Time.Format(time.DateOnly) + "</IntrBkSttlmDt>\n")
	agent(x, "InstgAgt", t.From.Bank)
	agent(x, "InstdAgt", t.To.Bank)
	t.From.write(x, "Dbtr")
	agent(x, "DbtrAgt", t.From.Bank)
	agent(x, "CdtrAgt", t.To.Bank)
	t.To.write(x, "Cdtr")
	if t.Text != "" {
		x.In("RmtInf", func() { x.Text("Ustrd", t.Text, isoxml.Max140) })
	}
}

// write writes a party and its account.
func (p Party) write(x *isoxml.Writer, name string) {
	x.In(name, func() { x.In("FinInstnId", func() { x.Text("Nm", p.Name, isoxml.Max140) }) })
	x.In(name+"Acct", func() { x.In("Id", func() { x.In("Othr", func() { x.Text("Id", p.Account, isoxml.Max34) }) }) })
}

func agent(x *isoxml.Writer, name, routing string) {
	x.Raw("<" + name + "><FinInstnId><ClrSysMmbId><ClrSysId><Cd>USABA</Cd></ClrSysId>")
	x.Text("MmbId", routing, isoxml.Max35)
	x.Raw("</ClrSysMmbId></FinInstnId></" + name + ">\n")
}

// header writes the business application header.
func header(x *isoxml.Writer, from, to, id, message string, created time.Time) {
	x.Raw(`<AppHdr xmlns="` + isoxml.NamespacePrefix + headerMessage + `">` + "\n")
	for _, side := range [...]struct{ name, member string }{{"Fr", from}, {"To", to}} {
		x.Raw("<" + side.name + "><FIId><FinInstnId><ClrSysMmbId>")
		x.Text("MmbId", side.member, isoxml.Max35)
		x.Raw("</ClrSysMmbId></FinInstnId></FIId></" + side.name + ">\n")
	}
	x.Text("BizMsgIdr", id, isoxml.Max35)
	x.Raw("<MsgDefIdr>" + message + "</MsgDefIdr><BizSvc>PROD</BizSvc>")
	x.Raw("<MktPrctc><Regy>" + marketPractice + "</Regy><Id>frb.fedwire.01</Id></MktPrctc>")
	x.Raw("<CreDt>" + created.Format(time.RFC3339) + "</CreDt></AppHdr>\n")
}

// WriteStatus writes what a bank says of a payment, with its business header, as the
// banks of the test world do.
func WriteStatus(w io.Writer, from, to string, s Status) error {
	x := isoxml.NewWriter(w)
	for _, bank := range []string{from, to} {
		if err := CheckRouting(bank); err != nil {
			x.Fail("%w", err)
		}
	}
	if s.Code.Outcome() == 0 || !s.At.Given() || s.At.Day {
		x.Fail("status %q at %q, expected a known code and a time", s.Code, s.At)
	}
	x.In(envelope, func() {
		header(x, from, to, s.ID, StatusMessage, s.At.Time)
		x.Raw(`<Document xmlns="` + isoxml.NamespacePrefix + StatusMessage + `"><FIToFIPmtStsRpt>` + "\n")
		x.In("GrpHdr", func() {
			x.Text("MsgId", s.ID, isoxml.Max35)
			x.Raw("<CreDtTm>" + s.At.String() + "</CreDtTm>")
		})
		x.In("TxInfAndSts", func() {
			x.In("OrgnlGrpInf", func() {
				x.Text("OrgnlMsgId", s.Message, isoxml.Max35)
				x.Raw("<OrgnlMsgNmId>" + TransferMessage + "</OrgnlMsgNmId>")
			})
			x.Optional("OrgnlEndToEndId", offchain.Text(s.EndToEnd), isoxml.Max35)
			x.Optional("OrgnlUETR", offchain.Text(s.UETR), 36)
			x.Raw("<TxSts>" + string(s.Code) + "</TxSts>")
			if s.Reason != "" {
				x.Raw("<StsRsnInf><Rsn>")
				x.Text("Prtry", s.Reason, isoxml.Max35)
				x.Raw("</Rsn>")
				x.Optional("AddtlInf", offchain.Text(s.Detail), 105)
				x.Raw("</StsRsnInf>")
			}
			x.Raw("<AccptncDtTm>" + s.At.String() + "</AccptncDtTm>")
		})
		x.Raw("</FIToFIPmtStsRpt></Document>\n")
	})
	if err := x.Finish(); err != nil {
		return fmt.Errorf("writing %s %s: %w", StatusMessage, s.ID, err)
	}
	return nil
}
