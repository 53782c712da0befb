package server

// partFields are the fields of our requests that hold what Klarna takes as the whole body, by Klarna's operation.
var partFields = map[string]string{
	"createPartnerBusinessEntity": "business_entity",
	"createBrand":                 "brand",
	"createStoreGroup":            "store_group",
	"createStore":                 "store",
	"updateStore":                 "store",
	"createPaymentAccount":        "payment_account",
}

// ourPart puts a field where our request of an operation has it: "display_name" of createBrand is "brand.display_name".
func ourPart(operation, field string) string {
	part, isPart := partFields[operation]
	if !isPart || field == "" || field == "store_group_id" { // the latter stands beside the store
		return field
	}
	return within(part, field)
}
