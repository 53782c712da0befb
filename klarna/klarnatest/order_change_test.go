package klarnatest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// number is a whole number of an answer.
func (r response) number(field string) int64 {
	n, _ := r.json.number(field)
	return n
}

func TestUpdateAuthorization_ChangesAmountAndLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.placed(doc{})
	path := om(id) + "/authorization"
	w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": 5000})
	line := doc{"name": "Zelt", "quantity": 1, "unit_price": 14000, "total_amount": 14000}
	w.want(204, "PATCH", path, doc{"order_amount": 14000, "order_lines": []doc{line}})
	order := w.want(200, "GET", om(id), nil)
	if order.number("order_amount") != 14000 || order.number("original_order_amount") != 12995 || order.number("remaining_authorized_amount") != 9000 {
		t.Errorf("order %s", order.body)
	}
	if lines, _ := order.json.objects("order_lines"); len(lines) != 1 || lines[0].str("name") != "Zelt" {
		t.Errorf("lines %v", lines)
	}
	res := w.refused(403, "NOT_ALLOWED", "PATCH", path, doc{"order_amount": 4999})
	if res.message() != "Resulting authorization amount 4999 cannot be less than the captured amount 5000 for order." {
		t.Errorf("message %q", res.message())
	}
	w.want(204, "PATCH", path, doc{"order_amount": 5000}) // no lines: they are deleted
	order = w.want(200, "GET", om(id), nil)
	if order.json.has("order_lines") || order.json.str("status") != "CAPTURED" {
		t.Errorf("order %s", order.body)
	}
	w.refused(403, "NOT_ALLOWED", "PATCH", path, doc{"order_amount": 6000})
}

func TestUpdateAuthorization_RefusedAfterCancelAndExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cancelled, expired := w.placed(doc{}), w.placed(doc{})
	w.want(204, "POST", om(cancelled)+"/cancel", nil)
	w.klarna.Advance(28 * 24 * time.Hour)
	for _, id := range []string{cancelled, expired} {
		w.refused(403, "NOT_ALLOWED", "PATCH", om(id)+"/authorization", doc{"order_amount": 1})
		w.refused(403, "NOT_ALLOWED", "PATCH", om(id)+"/customer-details", doc{"shipping_address": doc{"country": "DE"}})
	}
}

func TestChanges_CheckTheirForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.placed(doc{})
	capture := w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": 1}).header.Get("Capture-Id")
	for path, bodies := range map[string][]doc{
		"/authorization": {
			{}, {"order_amount": -1}, {"order_amount": 200_000_001}, {"order_amount": 1, "order_lines": "none"},
			{"order_amount": 1, "description": strings.Repeat("x", 256)},
		},
		"/customer-details": {{"shipping_address": doc{"city": strings.Repeat("x", 201)}}},
		"/shipping-info": {
			{}, {"shipping_info": []doc{}}, {"shipping_info": []doc{{"shipping_method": "Pigeon"}}},
			{"shipping_info": []doc{{"shipping_company": strings.Repeat("x", 101)}}},
		},
		"/captures/" + capture + "/shipping-info":   {{}, {"shipping_info": []doc{{"tracking_uri": strings.Repeat("x", 1025)}}}},
		"/captures/" + capture + "/extend-due-date": {{}, {"number_of_days": "10"}},
	} {
		method := "PATCH"
		if strings.HasSuffix(path, "/shipping-info") {
			method = "POST"
		}
		for _, body := range bodies {
			w.refused(422, "UNPROCESSABLE_ENTITY", method, om(id)+path, body)
		}
	}
	for _, body := range []doc{{}, {"shipping_address": doc{"country": "Germany"}}} {
		w.refused(422, "INVALID_ADDRESS", "PATCH", om(id)+"/customer-details", body)
	}
}

func TestShippingInfo_IsAddedToWhatIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.placed(doc{})
	parcel := func(number string) doc { return doc{"shipping_info": []doc{{"tracking_number": number}}} }
	numbers := func(r response) (all []string) {
		parcels, _ := r.json.objects("shipping_info")
		for _, p := range parcels {
			all = append(all, p.str("tracking_number"))
		}
		return all
	}
	capture := w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": 1}.with(parcel("1"))).header.Get("Capture-Id")
	w.want(204, "POST", om(id)+"/captures/"+capture+"/shipping-info", parcel("2"), key, key1)
	w.want(204, "POST", om(id)+"/captures/"+capture+"/shipping-info", parcel("2"), key, key1)
	w.want(204, "POST", om(id)+"/shipping-info", parcel("3"))
	w.want(204, "POST", om(id)+"/shipping-info", parcel("4"))
	if got := numbers(w.want(200, "GET", om(id)+"/captures/"+capture, nil)); strings.Join(got, " ") != "1 2" {
		t.Errorf("capture has %v", got)
	}
	if got := numbers(w.want(200, "GET", om(id), nil)); strings.Join(got, " ") != "3 4" {
		t.Errorf("order has %v", got)
	}
}

func TestDueDate_IsExtendedByAnOption(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	later, now := w.placed(doc{"intent": "tokenize"}), w.placed(doc{})
	paths := map[string]string{}
	for _, id := range []string{later, now} {
		capture := w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": 1}).header.Get("Capture-Id")
		paths[id] = om(id) + "/captures/" + capture
	}
	options := w.want(200, "GET", paths[later]+"/extend-due-date-options", nil).json
	if list, _ := options.objects("options"); options.str("currency") != "eur" || len(list) != 2 {
		t.Errorf("options %v", options)
	}
	w.want(204, "PATCH", paths[later]+"/extend-due-date", doc{"number_of_days": 30}, key, key1)
	w.want(204, "PATCH", paths[later]+"/extend-due-date", doc{"number_of_days": 30}, key, key1)
	w.refused(403, "NOT_ALLOWED", "PATCH", paths[later]+"/extend-due-date", doc{"number_of_days": 31})
	w.want(204, "POST", paths[later]+"/trigger-send-out", nil)
	if state, _ := w.klarna.Order(later); state.ExtendedDays != 30 || state.SentOut != 1 {
		t.Errorf("order %+v", state)
	}
	if list, _ := w.want(200, "GET", paths[now]+"/extend-due-date-options", nil).json.objects("options"); len(list) != 0 {
		t.Errorf("options of what is paid now: %v", list)
	}
	w.refused(403, "NOT_ALLOWED", "PATCH", paths[now]+"/extend-due-date", doc{"number_of_days": 30})
}

func TestChanges_OfACaptureThatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := om(w.placed(doc{})) + "/captures/" + uuid.NewString()
	parcels := doc{"shipping_info": []doc{{"tracking_number": "1"}}}
	res := w.refused(404, "NO_SUCH_CAPTURE", "POST", path+"/shipping-info", parcels)
	if !strings.HasPrefix(res.message(), "Capture could not be found. Shipping info cannot be added to capture ") {
		t.Errorf("message %q", res.message())
	}
	w.refused(404, "NO_SUCH_CAPTURE", "POST", path+"/trigger-send-out", nil)
	w.refused(404, "NO_SUCH_CAPTURE", "GET", path+"/extend-due-date-options", nil)
	w.refused(404, "NO_SUCH_CAPTURE", "PATCH", path+"/extend-due-date", doc{"number_of_days": 10})
}

func TestContract_OrderChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := underContract(t, w)
	secure := doc{"intent": "tokenize", "merchant_urls": doc{"confirmation": "https://shop.nordlicht.example/thanks"}}
	id, cancelled, none := w.placed(secure), w.placed(secure), om("6e1f0c53-3d0b-4b5e-9d3c-1a2b3c4d5e6f")
	w.want(204, "POST", om(cancelled)+"/cancel", nil)
	capture := om(id) + "/captures/" + w.want(201, "POST", om(id)+"/captures", doc{"captured_amount": 5000}).header.Get("Capture-Id")
	gone := om(id) + "/captures/6e1f0c53-3d0b-4b5e-9d3c-1a2b3c4d5e6f"
	parcels := doc{"shipping_info": []doc{{"shipping_company": "DHL", "shipping_method": "Home", "tracking_number": "00340434"}}}
	address := doc{"shipping_address": doc{"given_name": "Erika", "family_name": "Beispiel", "country": "DE"}}
	days := doc{"number_of_days": 10}

	w.want(204, "PATCH", om(id)+"/authorization", doc{"order_amount": 12995, "order_lines": cart(t)["order_lines"], "description": "gleich"}, key, key1)
	w.want(403, "PATCH", om(id)+"/authorization", doc{"order_amount": 1})
	w.want(422, "PATCH", om(id)+"/authorization", doc{})
	w.want(404, "PATCH", none+"/authorization", doc{"order_amount": 1})
	w.want(204, "PATCH", om(id)+"/customer-details", address, key, key2)
	w.want(403, "PATCH", om(cancelled)+"/customer-details", address)
	w.want(422, "PATCH", om(id)+"/customer-details", doc{})
	w.want(204, "PATCH", om(id)+"/merchant-references", doc{"merchant_reference2": ""})
	w.want(403, "PATCH", om(cancelled)+"/merchant-references", doc{"merchant_reference2": ""})
	w.want(204, "POST", om(id)+"/shipping-info", parcels)
	w.want(404, "POST", none+"/shipping-info", parcels)
	w.want(204, "POST", capture+"/shipping-info", parcels)
	w.want(404, "POST", gone+"/shipping-info", parcels)
	w.want(204, "POST", capture+"/trigger-send-out", nil)
	w.want(404, "POST", gone+"/trigger-send-out", nil)
	w.want(200, "GET", capture+"/extend-due-date-options", nil)
	w.want(404, "GET", gone+"/extend-due-date-options", nil)
	w.want(204, "PATCH", capture+"/extend-due-date", days)
	w.want(403, "PATCH", capture+"/extend-due-date", doc{"number_of_days": 11})
	w.want(404, "PATCH", gone+"/extend-due-date", days)
	w.want(200, "GET", capture, nil)
	w.want(404, "GET", gone, nil)
	w.want(200, "GET", om(id), nil)
	c.saw("updateAuthorization 204", "updateAuthorization 403", "updateConsumerDetails 204", "updateConsumerDetails 403",
		"updateMerchantReferences 204", "updateMerchantReferences 403", "appendOrderShippingInfo 204", "appendOrderShippingInfo 404",
		"appendShippingInfo 204", "appendShippingInfo 404", "triggerSendOut 204", "triggerSendOut 404",
		"getOptionsForExtendDueDate 200", "getOptionsForExtendDueDate 404", "extendDueDate 204", "extendDueDate 403",
		"extendDueDate 404", "getCapture 404")
}
