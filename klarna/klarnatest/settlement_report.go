package klarnatest

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// render makes a report of payouts.
type render func(payouts []*payout, transactions []*transaction) []byte

// reportOfOne is the report of the payout that payment_reference names. Klarna: refusals of reports are the JSON of all
// others, under the content type of the report.
func reportOfOne(contentType string, draw render) func(*Server, *call) answer {
	return func(s *Server, c *call) answer {
		reference := c.r.FormValue("payment_reference")
		p := s.payoutBy(reference)
		switch {
		case reference == "":
			return under(contentType, c.badValue([]string{"payment_reference"}))
		case p == nil:
			return under(contentType, c.noPayout())
		}
		return s.report(contentType, draw, []*payout{p})
	}
}

// reportOfMany is the report of the payouts between start_date and end_date.
func reportOfMany(contentType string, draw render) func(*Server, *call) answer {
	return func(s *Server, c *call) answer {
		found, bad := s.payoutsOf(c, true)
		if bad != nil {
			return under(contentType, *bad)
		}
		return s.report(contentType, draw, found)
	}
}

func (s *Server) report(contentType string, draw render, payouts []*payout) answer {
	var rows []*transaction
	for _, t := range s.books.transactions {
		if t.payout != nil && slices.Contains(payouts, t.payout) {
			rows = append(rows, t)
		}
	}
	return under(contentType, answer{status: http.StatusOK, body: draw(payouts, rows)})
}

// under gives an answer another content type than JSON.
func under(contentType string, a answer) answer {
	a.header = map[string]string{"Content-Type": contentType}
	return a
}

// reportColumns are the columns of the CSV reports, named like the fields of transactions. Klarna's own files have
// more, and a part about the payout before them.
var reportColumns = []string{
	"type", "detailed_type", "amount", "currency_code", "sale_date", "capture_date", "order_id", "short_order_id",
	"capture_id", "refund_id", "merchant_reference1", "merchant_reference2", "merchant_capture_reference",
	"merchant_refund_reference", "purchase_country", "vat_rate", "vat_amount",
}

// csvReport has a line per transaction, with CRLF.
func csvReport(_ []*payout, transactions []*transaction) []byte {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	w.UseCRLF = true
	write := func(cells []string) {
		if err := w.Write(cells); err != nil {
			panic("klarnatest: write report: " + err.Error()) // a buffer takes everything
		}
	}
	write(append([]string{"payment_reference", "payout_date"}, reportColumns...))
	for _, t := range transactions {
		cells := []string{t.payout.reference, t.payout.at.Format(classicTime)}
		for _, column := range reportColumns {
			cell := ""
			if t.doc.has(column) {
				cell = fmt.Sprint(t.doc[column])
			}
			cells = append(cells, cell)
		}
		write(cells)
	}
	w.Flush()
	return out.Bytes()
}

// pdfReport is a PDF of one page with a line per payout.
func pdfReport(payouts []*payout, _ []*transaction) []byte {
	var text bytes.Buffer
	text.WriteString("BT /F1 10 Tf 14 TL 50 790 Td (Payouts) Tj T*")
	for _, p := range payouts {
		fmt.Fprintf(&text, "\n(%s %s %d %s) Tj T*", p.reference, p.at.Format(classicTime), p.settlement, p.currency)
	}
	text.WriteString("\nET")
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		"<< /Length " + strconv.Itoa(text.Len()) + " >>\nstream\n" + text.String() + "\nendstream",
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	}
	var out, places bytes.Buffer
	out.WriteString("%PDF-1.4\n%\xe2\xe3\xcf\xd3\n") // bytes above 127 say that this is no text
	for i, object := range objects {
		fmt.Fprintf(&places, "%010d 00000 n \n", out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	start := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n%s", len(objects)+1, places.String())
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, start)
	return out.Bytes()
}
