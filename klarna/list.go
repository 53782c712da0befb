package klarna

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
)

// Cursor asks for a part of a list of the Klarna Network.
type Cursor struct {
	Size  int    // 0 leaves it to Klarna
	After string // where the part before ended; empty for the first
}

func (c Cursor) query() url.Values {
	query := url.Values{}
	if c.Size > 0 {
		query.Set("size", strconv.Itoa(c.Size))
	}
	set(query, "starting_after", c.After)
	return query
}

// readList reads a list of the Klarna Network, which is a member of an object or the whole answer, and the cursor of the
// part behind it, empty on the last one. Klarna: which of the two differs by list and by release; the last part has no
// last_item.
func readList[T any](a answer, name string, part Cursor, raw func(*T) *json.RawMessage) (list []T, next string, err error) {
	var body json.RawMessage
	if err := a.decode(&body); err != nil {
		return nil, "", err
	}
	items, pagination, err := listIn(body, name)
	if err != nil {
		return nil, "", err
	}
	if next = pagination.LastItem; next != "" && next == part.After {
		return nil, "", errors.New("next page: its cursor does not go on") // to stop here would make the list look whole
	}
	list, err = readItems(items, raw)
	return list, next, err
}

// pagination is what a list says of itself.
type pagination struct {
	LastItem string `json:"last_item"`
}

func listIn(body json.RawMessage, name string) (items []json.RawMessage, page pagination, err error) {
	if isArray(body) {
		err = json.Unmarshal(body, &items)
		return unwrapped(items, name), page, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, page, fmt.Errorf("decode list: %w", err)
	}
	if raw, paged := members["pagination"]; paged {
		if err := json.Unmarshal(raw, &page); err != nil {
			return nil, page, fmt.Errorf("decode pagination: %w", err)
		}
	}
	list, named := members[name]
	if !named {
		list = onlyList(members)
	}
	if list == nil {
		return nil, page, fmt.Errorf("no list of %s", name)
	}
	if err := json.Unmarshal(list, &items); err != nil {
		return nil, page, fmt.Errorf("decode %s: %w", name, err)
	}
	return items, page, nil
}

// onlyList is the one list among the members of an object, whatever its name; nil if there is none or several.
func onlyList(members map[string]json.RawMessage) (list json.RawMessage) {
	for _, member := range members {
		if !isArray(member) {
			continue
		}
		if list != nil {
			return nil
		}
		list = member
	}
	return list
}

// unwrapped takes lists out of the items that hold one by this name. Klarna: one script of Klarna's reads a list of
// compliance decisions that way.
func unwrapped(items []json.RawMessage, name string) (all []json.RawMessage) {
	for _, item := range items {
		var members map[string]json.RawMessage
		var inner []json.RawMessage
		if json.Unmarshal(item, &members) == nil && isArray(members[name]) && json.Unmarshal(members[name], &inner) == nil {
			all = append(all, inner...)
			continue
		}
		all = append(all, item)
	}
	return all
}

func isArray(raw json.RawMessage) bool { return bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) }
