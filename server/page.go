package server

import (
	"context"

	"google.golang.org/protobuf/proto"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/store"
)

const defaultPage = 50

// pageRequest is what all list requests share.
type pageRequest interface {
	proto.Message
	GetPageSize() int32
	GetPageToken() string
}

// page is one page of a list being made.
type page struct {
	cursors cursors
	size    int
	after   store.Position // where the last page ended, 0 on the first
	upTo    store.Position // what the list shows, as its first page settled it; 0 on the first
	offset  int64          // the same in a list that Klarna keeps
	cursor  string         // likewise
}

// page opens the page that a request asks for.
func (s *Server) page(ctx context.Context, rpc, merchantAccount string, req pageRequest) (p page, err error) {
	filter := proto.Clone(req)
	m := filter.ProtoReflect()
	for _, name := range []string{"merchant_account", "page_size", "page_token"} {
		m.Clear(m.Descriptor().Fields().ByName(protoName(name)))
	}
	if p.cursors, err = s.cursors(ctx, rpc, merchantAccount, filter); err != nil {
		return p, err
	}
	if p.size = int(req.GetPageSize()); p.size == 0 {
		p.size = defaultPage
	}
	if req.GetPageToken() != "" {
		at, err := p.cursors.read(req.GetPageToken(), "page_token", gatewayv1.ErrorReason_ERROR_REASON_PAGE_TOKEN_INVALID)
		if err != nil {
			return p, err
		}
		p.after, p.upTo, p.offset, p.cursor = at.After, at.UpTo, at.Offset, at.Cursor
	}
	return p, nil
}

// subjects reads a page of subjects, newest change first. One more than the page is read to see whether there is a
// next one. What the caller may not see is left out, so a page may be short. A subject that changes between two pages moves in front of the first one: watch to hear of it.
func (s *Server) subjects(ctx context.Context, p page, q store.Query) (found []store.Subject, next string, err error) {
	sees := narrow(ctx, &q)
	q.Descending, q.Limit = true, p.size+1
	if p.after > 0 {
		if q.UpTo = p.after - 1; q.UpTo == 0 {
			return nil, "", nil
		}
	}
	if found, err = s.store.Subjects(ctx, q); err != nil || len(found) <= p.size {
		return seenOf(found, sees), "", err
	}
	found = found[:p.size]
	next = p.cursors.token(place{After: found[p.size-1].Latest})
	return seenOf(found, sees), next, nil
}

// events reads a page of events, oldest first.
func (s *Server) events(ctx context.Context, p page, q store.Query) (found []store.Event, next string, err error) {
	sees := narrow(ctx, &q)
	q.After, q.Limit = p.after, p.size+1
	if found, err = s.store.Events(ctx, q); err != nil || len(found) <= p.size {
		return seenEvents(found, sees), "", err
	}
	found = found[:p.size]
	next = p.cursors.token(place{After: found[p.size-1].Position})
	return seenEvents(found, sees), next, nil
}
