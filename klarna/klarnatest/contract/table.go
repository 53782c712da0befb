package contract

import "strings"

// tabled are operations that no document describes, although Klarna's pages and samples name them: method and path, by the
// fact sheet and section that has them. What passes there is checked by the two sides reading one another alone.
var tabled = map[string][]string{
	"network.md 1.1": {
		"GET /v2/account/integration/ip-restrictions/allowed-ips",
	},
	"network.md 4": {
		"GET /v2/distribution/products/payment/price-plans",
		"GET /v2/distribution/products/payment/price-plans/{price_plan_id}",
		"GET /v2/distribution/products/payment/payment-program-plans",
		"GET /v2/distribution/products/payment/payment-program-plans/{payment_program_plan_id}",
		"GET /v2/distribution/products/payment/payment-programs/{payment_program_id}",
		"POST /v2/accounts/{partner_account_id}/products/payment/payment-programs/payment-program-enablements",
		"GET /v2/accounts/{partner_account_id}/products/payment/payment-programs/payment-program-enablements",
		"GET /v2/accounts/{partner_account_id}/products/payment/payment-programs/payment-program-enablements/{id}",
		"DELETE /v2/accounts/{partner_account_id}/products/payment/payment-programs/payment-program-enablements/{id}",
	},
	"network.md 10": {
		"POST /v2/accounts/{partner_account_id}/payment/authorize",
		"GET /v2/accounts/{partner_account_id}/payment/transactions/{payment_transaction_id}",
		"PATCH /v2/accounts/{partner_account_id}/payment/transactions/{payment_transaction_id}",
		"POST /v2/accounts/{partner_account_id}/payment/transactions/{payment_transaction_id}/capture",
		"POST /v2/accounts/{partner_account_id}/payment/transactions/{payment_transaction_id}/void",
		"POST /v2/accounts/{partner_account_id}/payment/transactions/{payment_transaction_id}/authorize",
		"POST /v2/accounts/{partner_account_id}/payment/transactions/{payment_transaction_id}/refund",
		"POST /v2/accounts/{partner_account_id}/payment/captures/{payment_capture_id}/refund",
		"GET /v2/accounts/{partner_account_id}/payment/captures/{payment_capture_id}",
		"GET /v2/accounts/{partner_account_id}/payment/refunds/{payment_refund_id}",
		"GET /v2/accounts/{partner_account_id}/payment/chargebacks/{payment_chargeback_id}",
		"DELETE /v2/accounts/{partner_account_id}/payment/tokens/{payment_token}",
	},
}

// addTabled adds them to what the documents describe.
func (d *Documents) addTabled() {
	for source, list := range tabled {
		for _, line := range list {
			method, path, _ := strings.Cut(line, " ")
			d.Operations = append(d.Operations, &Operation{
				Document: source, ID: line, Method: method, Path: path, segments: strings.Split(path, "/"),
			})
		}
	}
}

// Described tells whether a document says more of the operation than that it is there.
func (o *Operation) Described() bool { return o.op != nil }
