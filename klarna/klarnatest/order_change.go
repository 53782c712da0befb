package klarnatest

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
)

// updateAuthorization changes amount and lines. Klarna: not when fully captured, cancelled or expired, and not below
// what is captured; lines that are left out are deleted. That they add up is not checked, as no document says so.
func (s *Server) updateAuthorization(c *call) answer {
	return s.withOrder(c, "Update not possible.", func(o *order) answer {
		amount, ok := c.doc.number("order_amount")
		lines, isList := c.doc.objects("order_lines")
		switch {
		case !ok || amount < 0 || amount > maxAmount:
			return c.unprocessable(fmt.Sprintf("The order_amount value must be between 0 and %d", maxAmount))
		case !textFits(c.doc, "description", 255):
			return c.tooLong("description", 255)
		case c.doc.has("order_lines") && (!isList || len(lines) > 1000):
			return c.unprocessable("The order_lines value is not valid")
		case !o.open() || o.expired(s.now()):
			return c.refuse(http.StatusForbidden, "NOT_ALLOWED", "Update not allowed.")
		case amount < o.captured:
			return c.refuse(http.StatusForbidden, "NOT_ALLOWED", fmt.Sprintf(
				"Resulting authorization amount %d cannot be less than the captured amount %d for order.", amount, o.captured))
		}
		o.amount, o.doc = amount, o.doc.without("order_lines").with(c.doc.pick("order_lines"))
		if o.captured > 0 && o.captured == amount {
			o.status = orderCaptured
		}
		return answer{status: http.StatusNoContent}
	})
}

// updateCustomer replaces the shipping address. What is no address is INVALID_ADDRESS. When Klarna does not allow it is
// not documented; here not once nothing is open any more.
func (s *Server) updateCustomer(c *call) answer {
	return s.withOrder(c, "Customer details cannot be updated.", func(o *order) answer {
		address := c.doc.object("shipping_address")
		if country := address.str("country"); address == nil || country != "" && !countryPattern.MatchString(country) {
			return c.refuse(http.StatusUnprocessableEntity, "INVALID_ADDRESS", "The shipping and/or billing address is invalid")
		}
		for field, limit := range addressLimits {
			if !textFits(address, field, limit) {
				return c.tooLong("shipping_address/"+field, limit)
			}
		}
		if !o.open() || o.expired(s.now()) {
			return c.refuse(http.StatusForbidden, "NOT_ALLOWED", "Update not allowed.")
		}
		o.doc = o.doc.with(c.doc.pick("shipping_address"))
		return answer{status: http.StatusNoContent}
	})
}

// addressLimits are Order Management's; Klarna Payments has others.
var addressLimits = map[string]int{
	"given_name": 100, "family_name": 100, "email": 100, "phone": 100, "street_address": 100, "street_address2": 100,
	"city": 200, "region": 200, "postal_code": 10, "organization_name": 255, "attention": 255, "title": 20,
}

// addOrderShipping adds parcels to an order.
func (s *Server) addOrderShipping(c *call) answer {
	return s.withOrder(c, "Shipping info cannot be added.", func(o *order) answer {
		parcels, bad := c.parcels()
		if bad != nil {
			return *bad
		}
		o.shipping = slices.Concat(o.shipping, parcels)
		return answer{status: http.StatusNoContent}
	})
}

// parcels reads the shipping_info of a request, or the refusal of its form.
func (c *call) parcels() (list []any, bad *answer) {
	refuse := func(a answer) ([]any, *answer) { return nil, &a }
	parcels, ok := c.doc.objects("shipping_info")
	if !ok || len(parcels) < 1 || len(parcels) > 500 {
		return refuse(c.unprocessable("The size of the shipping_info value must be between 1 and 500"))
	}
	for _, parcel := range parcels {
		for field, limit := range parcelLimits {
			if !textFits(parcel, field, limit) {
				return refuse(c.tooLong("shipping_info/"+field, limit))
			}
		}
		if method := parcel.str("shipping_method"); method != "" && !shippingMethod.MatchString(method) {
			return refuse(c.unprocessable("The shipping_info/shipping_method value is not valid"))
		}
	}
	list, _ = c.doc["shipping_info"].([]any)
	return list, nil
}

var parcelLimits = map[string]int{
	"shipping_company": 100, "tracking_number": 100, "tracking_uri": 1024,
	"return_shipping_company": 100, "return_tracking_number": 100, "return_tracking_uri": 1024,
}

var shippingMethod = regexp.MustCompile(`^(PickUpStore|Home|BoxReg|BoxUnreg|PickUpPoint|Own|Postal|DHLPackstation|Digital|` +
	`Undefined|PickUpWarehouse|ClickCollect|PalletDelivery)$`)

func (c *call) unprocessable(message string) answer {
	return c.refuse(http.StatusUnprocessableEntity, "UNPROCESSABLE_ENTITY", message)
}
