package webhook

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

const (
	ringID     = "krn:partner:global:notification:signing-key:11111111-1111-4111-8111-111111111111"
	ringSecret = "secret-of-the-key-that-was-made-here"
)

func ringKeyID() store.SigningKeyID {
	return store.SigningKeyID{Scheme: journal.NetworkScheme, MerchantAccount: merchant, ID: ringID}
}

// keep puts a key into the store, as another replica would.
func (g *gateway) keep(change func(*store.SigningKey)) {
	g.t.Helper()
	k := store.SigningKey{SigningKeyID: ringKeyID(), Key: []byte(ringSecret), Origin: journal.KeyCreated, CreatedAt: now}
	if change != nil {
		change(&k)
	}
	if err := g.store.Do(g.t.Context(), func(tx store.Tx) error { return tx.PutSigningKey(g.t.Context(), k) }); err != nil {
		g.t.Fatal(err)
	}
}

// key is what is on record about a key.
func (g *gateway) key(id store.SigningKeyID) store.SigningKey {
	g.t.Helper()
	all, err := g.store.SigningKeys(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	for _, k := range all {
		if k.SigningKeyID == id {
			return k
		}
	}
	return store.SigningKey{}
}

// byRing posts an event signed with the ring's key.
func (g *gateway) byRing(want int, event string) {
	g.t.Helper()
	body := networkEvent(g.t, event, klarna.EventAccountOperational, 1, nil, nil)
	g.want(want, networkPath, body, "Klarna-Signing-Key-Id", ringID, "Klarna-Signature", klarna.SignNetwork([]byte(ringSecret), []byte(body)))
}

func TestKeyring_TakesAKeyThatAnotherReplicaMadeAMomentAgo(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.network(http.StatusOK, networkEvent(t, "e1", klarna.EventAccountOperational, 1, nil, nil)) // the ring was read
	g.keep(nil)
	g.byRing(http.StatusOK, "e2")
	g.byRing(http.StatusOK, "e3")
	if n := g.asked.Load(); n != 2 {
		t.Errorf("the store was asked %d times, want 2", n)
	}
	if ev := g.events(store.Accounts); len(ev) != 3 || ev[1].MerchantAccount != merchant {
		t.Errorf("recorded %+v", ev)
	}
}

func TestKeyring_AnUnknownKeyIsAskedForOnceAndNotAgainForAWhile(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	for range 5 {
		g.byRing(http.StatusBadRequest, "e1")
	}
	if n := g.asked.Load(); n != 1 {
		t.Errorf("the store was asked %d times, want once", n)
	}
	g.keep(nil)
	g.advance(missKept)
	g.byRing(http.StatusOK, "e1")
}

func TestKeyring_AFloodOfMadeUpKeysCostsFewQueries(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	const flood = 300
	body := networkEvent(t, "e1", klarna.EventAccountOperational, 1, nil, nil)
	for i := range flood {
		g.want(http.StatusBadRequest, networkPath, body, "Klarna-Signing-Key-Id", fmt.Sprint("krn:", i), "Klarna-Signature", klarna.SignNetwork([]byte("x"), []byte(body)))
	}
	if n := g.asked.Load(); n > askBurst+1 {
		t.Errorf("%d posts made %d queries", flood, n)
	}
	g.untouched()
	g.keep(nil) // what is real comes through all the same, a little later
	g.advance(time.Second)
	g.byRing(http.StatusOK, "e1")
	if n := len(g.keys.misses); n > missesKept {
		t.Errorf("%d misses are kept", n)
	}
}

func TestKeyring_ARevokedKeyVerifiesNothingAfterAFewSeconds(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.keep(nil)
	g.byRing(http.StatusOK, "e1")
	g.keep(func(k *store.SigningKey) { k.RevokedAt = now })
	g.advance(keysKept)
	g.byRing(http.StatusBadRequest, "e2")
	if n := len(g.events(store.Accounts)); n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestKeyring_ARetiredKeyVerifiesAndRaisesTheAlarm(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.keep(func(k *store.SigningKey) { k.RetireAt = now.Add(5 * time.Minute) })
	g.byRing(http.StatusOK, "e1")
	if k := g.key(ringKeyID()); journal.KeyUsedLate(k) || !k.LastUsed.Equal(now) || strings.Contains(g.logged(), "past its retirement") {
		t.Errorf("before its retirement: %+v\n%s", k, g.logged())
	}
	g.advance(6 * time.Minute) // within the precision of last uses
	g.byRing(http.StatusOK, "e2")
	if k := g.key(ringKeyID()); !journal.KeyUsedLate(k) || string(k.Key) != ringSecret {
		t.Errorf("after its retirement: %+v", k)
	}
	if log := g.logged(); !strings.Contains(log, `"level":"ERROR","msg":"signing key signs past its retirement"`) || strings.Contains(log, ringSecret) {
		t.Errorf("logged\n%s", log)
	}
}

func TestKeyring_WritesDownUseWithoutACommitForEachPost(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	configured := store.SigningKeyID{Scheme: journal.NetworkScheme, MerchantAccount: merchant, ID: networkKeyID}
	post := func(n int) {
		g.network(http.StatusOK, networkEvent(t, fmt.Sprint("e", n), klarna.EventAccountOperational, 1, nil, nil))
	}
	post(1)
	g.advance(14 * time.Minute)
	post(2)
	if k := g.key(configured); !k.LastUsed.Equal(now) || k.Origin != journal.KeyConfigured || k.Key != nil {
		t.Errorf("within the precision: %+v", k)
	}
	g.advance(time.Minute)
	post(3)
	if k := g.key(configured); !k.LastUsed.Equal(now.Add(15 * time.Minute)) {
		t.Errorf("beyond it: %+v", k)
	}
	g.want(http.StatusBadRequest, networkPath, "{}", "Klarna-Signing-Key-Id", networkKeyID, "Klarna-Signature", "00")
	g.advance(time.Hour)
	g.want(http.StatusBadRequest, networkPath, "{}", "Klarna-Signing-Key-Id", networkKeyID, "Klarna-Signature", "00")
	if k := g.key(configured); !k.LastUsed.Equal(now.Add(15 * time.Minute)) {
		t.Errorf("a wrong signature counts as use: %+v", k)
	}
}

func TestKeyring_HoldsPaymentStatusKeysOfOneAccountAlone(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.keep(func(k *store.SigningKey) {
		k.SigningKeyID = store.SigningKeyID{Scheme: journal.PaymentStatusScheme, MerchantAccount: merchant, ID: "9"}
	})
	body := text(t, object{"event_id": "e1", "event_type": "x", "payload": object{"order_id": order}})
	header := klarna.SignPaymentStatus([]byte(ringSecret), "9", now, []byte(body))
	g.want(http.StatusBadRequest, "/klarna/payment-status/"+otherAccount, body, "Payload-Signature", header)
	g.want(http.StatusBadRequest, networkPath, body, "Klarna-Signing-Key-Id", "9", "Klarna-Signature", klarna.SignNetwork([]byte(ringSecret), []byte(body)))
	g.want(http.StatusOK, statusPath, body, "Payload-Signature", header)
}

func TestKeyring_KeysOfAnAccountThatIsNotServedVerifyNothing(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.keep(func(k *store.SigningKey) { k.MerchantAccount = "nordlicht-no" })
	g.byRing(http.StatusBadRequest, "e1")
	g.untouched()
}

func TestKeyring_AStoreThatCannotBeAskedRefusesNobody(t *testing.T) {
	t.Parallel()
	g := start(t, nil)
	g.keep(nil)
	g.broken.Store(true)
	g.byRing(http.StatusServiceUnavailable, "e1")
	g.broken.Store(false)
	g.byRing(http.StatusOK, "e1")
	g.broken.Store(true)
	g.advance(keysKept)
	found, err := g.keys.find(t.Context(), journal.NetworkScheme, ringID)
	if err != nil || len(found) != 1 {
		t.Errorf("as it was known last: %d keys, %v", len(found), err)
	}
}
