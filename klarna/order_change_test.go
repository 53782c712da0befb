package klarna

import (
	"testing"
)

func TestChangesOfAnOrder_SendWhatKlarnaReads(t *testing.T) {
	t.Parallel()
	empty, reference := "", "SO-9"
	parcels := []ShippingInfo{{ShippingCompany: "DHL", TrackingNumber: "00340434"}}
	const order, capture = "/ordermanagement/v1/orders/o-1", "/ordermanagement/v1/orders/o-1/captures/c-1"
	for name, test := range map[string]struct {
		do        func(*Client) error
		method    string
		uri, body string // no body: nothing is sent
	}{
		"authorization": {
			func(c *Client) error {
				return c.UpdateAuthorization(t.Context(), testKey, "o-1", AuthorizationUpdate{
					OrderAmount: 500, OrderLines: []OrderLine{{Name: "Hering", Quantity: 1, UnitPrice: 500, TotalAmount: 500}}, Description: "kleiner",
				})
			},
			"PATCH", order + "/authorization",
			`{"order_amount":500,"order_lines":[{"name":"Hering","quantity":1,"unit_price":500,"total_amount":500}],"description":"kleiner"}`,
		},
		"authorization of nothing": {
			func(c *Client) error {
				return c.UpdateAuthorization(t.Context(), testKey, "o-1", AuthorizationUpdate{})
			},
			"PATCH", order + "/authorization", `{"order_amount":0}`,
		},
		"references, one kept and one cleared": {
			func(c *Client) error {
				return c.UpdateMerchantReferences(t.Context(), testKey, "o-1", MerchantReferences{MerchantReference2: &empty})
			},
			"PATCH", order + "/merchant-references", `{"merchant_reference2":""}`,
		},
		"references, one set and one kept": {
			func(c *Client) error {
				return c.UpdateMerchantReferences(t.Context(), testKey, "o-1", MerchantReferences{MerchantReference1: &reference})
			},
			"PATCH", order + "/merchant-references", `{"merchant_reference1":"SO-9"}`,
		},
		"shipping address": {
			func(c *Client) error {
				return c.UpdateShippingAddress(t.Context(), testKey, "o-1", CustomerAddress{GivenName: "Erika", Country: "DE"})
			},
			"PATCH", order + "/customer-details", `{"shipping_address":{"given_name":"Erika","country":"DE"}}`,
		},
		"authorization time": {
			func(c *Client) error { return c.ExtendAuthorizationTime(t.Context(), testKey, "o-1") },
			"POST", order + "/extend-authorization-time", "",
		},
		"release": {
			func(c *Client) error { return c.ReleaseRemainingAuthorization(t.Context(), testKey, "o-1") },
			"POST", order + "/release-remaining-authorization", "",
		},
		"shipping info of the order": {
			func(c *Client) error { return c.AppendOrderShippingInfo(t.Context(), testKey, "o-1", parcels) },
			"POST", order + "/shipping-info", `{"shipping_info":[{"shipping_company":"DHL","tracking_number":"00340434"}]}`,
		},
		"shipping info of a capture": {
			func(c *Client) error { return c.AppendShippingInfo(t.Context(), testKey, "o-1", "c-1", parcels) },
			"POST", capture + "/shipping-info", `{"shipping_info":[{"shipping_company":"DHL","tracking_number":"00340434"}]}`,
		},
		"send-out": {
			func(c *Client) error { return c.TriggerSendOut(t.Context(), testKey, "o-1", "c-1") },
			"POST", capture + "/trigger-send-out", "",
		},
		"due date": {
			func(c *Client) error { return c.ExtendDueDate(t.Context(), testKey, "o-1", "c-1", 30) },
			"PATCH", capture + "/extend-due-date", `{"number_of_days":30}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			klarna := answering(t, 204, "")
			if err := test.do(klarna.client(t)); err != nil {
				t.Fatal(err)
			}
			s := klarna.only(t)
			s.want(t, test.method, test.uri)
			if s.header.Get("Klarna-Idempotency-Key") != testKey {
				t.Error("no idempotency key")
			}
			if test.body != "" {
				checkJSON(t, s.body, test.body)
			} else if len(s.body) != 0 {
				t.Errorf("sent %s", s.body)
			}
		})
	}
}

func TestCapture_ReadsOne(t *testing.T) {
	t.Parallel()
	const body = `{"capture_id":"c-1","captured_amount":3,"shipping_info":[{"shipping_company":"DHL"}],"new":1}`
	klarna := answering(t, 200, body)
	capture, err := klarna.client(t).Capture(t.Context(), "o-1", "c-1")
	if err != nil {
		t.Fatal(err)
	}
	klarna.only(t).want(t, "GET", "/ordermanagement/v1/orders/o-1/captures/c-1")
	if capture.CapturedAmount != 3 || capture.ShippingInfo[0].ShippingCompany != "DHL" || string(capture.Raw) != body {
		t.Errorf("got %+v", capture)
	}
}

func TestDueDateOptions_Read(t *testing.T) {
	t.Parallel()
	const body = `{"currency":"eur","options":[{"number_of_days":10,"amount":100},{"number_of_days":30,"amount":250,"new":1}]}`
	klarna := answering(t, 200, body)
	options, err := klarna.client(t).DueDateOptions(t.Context(), "o-1", "c-1")
	if err != nil {
		t.Fatal(err)
	}
	klarna.only(t).want(t, "GET", "/ordermanagement/v1/orders/o-1/captures/c-1/extend-due-date-options")
	if options.Currency != "eur" || len(options.Options) != 2 || options.Options[1] != (DueDateOption{NumberOfDays: 30, Amount: 250}) || string(options.Raw) != body {
		t.Errorf("got %+v", options)
	}
}
