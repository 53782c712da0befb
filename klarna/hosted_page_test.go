package klarna

import "testing"

func TestCreateHostedPage_NamesTheSessionByItsAddress(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 201, `{"session_id":"p-1","redirect_url":"https://pay.klarna.example/p","qr_code_url":"https://pay.klarna.example/q","expires_at":"2038-01-19T03:14:07.000Z","distribution_module":{"token":"x"}}`)
	page, err := klarna.client(t).CreateHostedPage(t.Context(), "s/1", HostedPageRequest{
		MerchantURLs: &HostedPageURLs{Success: "https://shop.example/ok?p={{session_id}}", StatusUpdate: "https://gw.example/s3cr3t"},
		Options:      &HostedPageOptions{PaymentMethodCategory: "PAY_NOW"}, ProfileID: "prof",
	})
	if err != nil || page.SessionID != "p-1" || page.RedirectURL == "" || page.QRCodeURL == "" || page.ExpiresAt.Year() != 2038 || page.Raw == nil {
		t.Fatalf("got %+v, %v", page, err)
	}
	s := klarna.only(t)
	s.want(t, "POST", "/hpp/v1/sessions")
	checkJSON(t, s.body, `{"payment_session_url":"`+klarna.URL+`/payments/v1/sessions/s%2F1","profile_id":"prof","options":{"payment_method_category":"PAY_NOW"},
		"merchant_urls":{"success":"https://shop.example/ok?p={{session_id}}","status_update":"https://gw.example/s3cr3t"}}`)
}

func TestHostedPage_KeepsWordsItDoesNotKnow(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 200, `{"status":"MANUAL_ID_CHECK","order_id":"o-1","klarna_reference":"ffc25786","updated_at":"2026-02-03T09:15:42.120Z","customer":{"given_name":"Ida"}}`)
	page, err := klarna.client(t).HostedPage(t.Context(), "p-1")
	if err != nil || page.SessionID != "p-1" || page.Status != "MANUAL_ID_CHECK" || page.OrderID != "o-1" || page.UpdatedAt.IsZero() || page.Raw == nil {
		t.Fatalf("got %+v, %v", page, err)
	}
	klarna.only(t).want(t, "GET", "/hpp/v1/sessions/p-1")
}

func TestHostedPage_IsDisabledAndDistributed(t *testing.T) {
	t.Parallel()
	klarna := answering(t, 204, "")
	if err := klarna.client(t).DisableHostedPage(t.Context(), "p-1"); err != nil {
		t.Fatal(err)
	}
	klarna.only(t).want(t, "DELETE", "/hpp/v1/sessions/p-1")

	klarna = answering(t, 201, "")
	to := Distribution{Method: DistributeBySMS, Contact: DistributionContact{Phone: "+4930901820", PhoneCountry: "DE"}}
	if err := klarna.client(t).DistributeHostedPage(t.Context(), "p-1", to); err != nil {
		t.Fatal(err)
	}
	s := klarna.only(t)
	s.want(t, "POST", "/hpp/v1/sessions/p-1/distribution")
	checkJSON(t, s.body, `{"method":"sms","contact_information":{"phone":"+4930901820","phone_country":"DE"}}`)
}
