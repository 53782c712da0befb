package operation

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"payments.internal/klarna-gateway/store"
)

// sameRequest refuses a repeat that is none, and says where it differs. A request without a fingerprint was definitely
// refused for what it says; it may be corrected under the same id, as Klarna advises.
func (o *Operations) sameRequest(row store.Request, req Request) error {
	if row.Caller != req.Caller {
		return refuse("REQUEST_ID_OF_ANOTHER_CALLER", "this request_id is in use")
	}
	if len(row.Fingerprint) == 0 || bytes.Equal(row.Fingerprint, o.store.Fingerprint(req.Content)) {
		return nil
	}
	r := refuseField("request_id", "REQUEST_ID_REUSED", "request_id was used for %s with other content before", row.Operation)
	r.metadata = map[string]string{"operation": row.Operation}
	if paths := o.differing(row, req); len(paths) > 0 {
		r.metadata["differing_fields"] = strings.Join(paths, ",")
		r.message += "; it differs in " + strings.Join(paths, ", ")
	}
	return r
}

// differencesNamed is how many differing fields a refusal names at most.
const differencesNamed = 16

// digests is what is kept of a request's fields, in JSON: enough to see which differ, and nothing of what they say. The digests
// are keyed, so that not even a short value can be guessed from one.
func (o *Operations) digests(fields []Field) []byte {
	if len(fields) == 0 {
		return nil
	}
	object, between := make([]byte, 0, 40*len(fields)), "{"
	for _, field := range fields {
		object = strconv.AppendQuote(append(object, between...), field.Path)
		object = append(object, `:"`...)
		object = base64.StdEncoding.AppendEncode(object, o.store.Fingerprint([]byte(field.Path), field.Value)[:6])
		object, between = append(object, '"'), ","
	}
	return append(object, '}')
}

// differing lists the paths at which a repeat says something else than the request on record.
func (o *Operations) differing(row store.Request, req Request) (paths []string) {
	var before, now map[string][]byte
	if json.Unmarshal(row.Fields, &before) != nil || json.Unmarshal(o.digests(req.Fields), &now) != nil {
		return nil // recorded before fields were
	}
	all := maps.Clone(before)
	maps.Copy(all, now)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if !bytes.Equal(before[path], now[path]) {
			paths = append(paths, path)
		}
	}
	if more := len(paths) - differencesNamed; more > 0 {
		paths = append(paths[:differencesNamed], fmt.Sprintf("and %d more", more))
	}
	return paths
}
